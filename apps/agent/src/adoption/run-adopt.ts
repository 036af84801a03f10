import { hostname } from 'node:os';
import { copyStates, newId, paragraphOf, signDocument, type Manifest } from '@strideiq/core';
import { once } from '@strideiq/storage';
import { manifestText, sealedBackupOf, sha256 } from '../backup/manifest.ts';
import type { FoundBackup } from '../backups/find-backups.ts';
import { sourceOf } from '../backups/resolve-reference.ts';
import { AgentError } from '../errors.ts';
import { loggingPhases } from '../journal/run-log.ts';
import type { CopyOutcome, PlannedCopy, RunDetail } from '../journal/schema.ts';
import type { OpenedStore } from '../stores/opened-store.ts';
import { claimPrefix } from '../stores/prefix-owner.ts';
import { reportCopy } from '../verify/report-copy.ts';
import type { RunVerifyDependencies } from '../verify/run-verify.ts';
import { verifyCopy, type Verification } from '../verify/verify-copy.ts';
import { agentVersion } from '../version.ts';

export interface AdoptRequest {
  environment: string;
  database: string;
  databaseId: string;
  /** A dump of this database by its name, of which no copy has a manifest. */
  backup: FoundBackup;
}

export interface Adopted {
  runId: string;
  backupId: string;
  manifest: Manifest;
  copies: CopyOutcome[];
  /** Copies that were left as they are, and why. */
  problems: string[];
}

/** Of a dump that was not taken in nothing more is known than before. */
const nothingKnown: RunDetail = { sealed: undefined, copies: [] };

/** A copy that was read back whole. */
interface WholeCopy {
  opened: OpenedStore;
  verification: Verification;
}

/**
 * Takes a dump that no agent made into this host's care: each copy is read back whole, and gets a manifest that says what was
 * read. From then on it is listed, verified by its checksum, reported, and counted and removed by retention. Its SQL is
 * trusted no more than before.
 * @throws AgentError `VerificationFailed` where no copy is whole, `NoCopyStored` where none got its manifest; the objects are
 *   as they were then
 */
export async function runAdopt(request: AdoptRequest, dependencies: RunVerifyDependencies): Promise<Adopted> {
  const { environment, database, databaseId, backup } = request;
  const { journal, now } = dependencies;
  const runId = newId(now());
  const backupId = newId(now());
  const startedAt = new Date(now()).toISOString();
  const deps = { ...dependencies, progress: loggingPhases(journal, runId, dependencies.progress) };
  const run = { id: runId, kind: 'adopt' as const, environment, database, databaseId, detail: { backupId } };
  const work = async () => {
    const problems: string[] = [];
    const read = await readCopies(backup, deps, problems);
    const manifest = signDocument(manifestOf(request, { backupId, runId, startedAt, now: now() }, read), deps.key);
    const text = manifestText(manifest, backup.names.manifest);
    const sealed = sealedBackupOf(manifest, sha256(text));
    const seal = { runId, backupId, manifest: text.toString(), manifestSha256: sha256(text) };
    journal.describe(runId, { copies: read.map(plannedOf) });
    journal.seal({ ...seal, privileges: null, globals: null }, sealed);
    const got = await giveManifest(request, { read, text, problems }, deps);
    const copies = got.map((copy): CopyOutcome => ({
      ...plannedOf(copy),
      state: copyStates.move('uploading', 'stored'),
      sizeBytes: manifest.object.bytes,
    }));
    const { bytes, rawBytes, rows } = sealed;
    const result = { runId, backupId, manifest, copies, problems, whole: got };
    return { result, detail: { copies, warnings: problems, bytes, rawBytes, rows } };
  };
  const { whole, ...adopted } = await journal.record(run, work, () => nothingKnown);
  // Who hears of a copy has to know its backup.
  for (const { opened, verification } of whole) {
    reportCopy(journal, { databaseId, backupId, runId, manifest: undefined }, verification, opened);
  }
  return adopted;
}

/** @returns the copies whose store took it */
async function giveManifest(
  { environment, database, databaseId, backup }: AdoptRequest,
  { read, text, problems }: { read: readonly WholeCopy[]; text: Buffer; problems: string[] },
  { journal, signal }: RunVerifyDependencies,
): Promise<WholeCopy[]> {
  const got: WholeCopy[] = [];
  for (const copy of read) {
    const { store, name } = copy.opened;
    signal.throwIfAborted();
    try {
      const wasUsed = journal.copies.hasStoredIn(databaseId, store.storeId);
      await claimPrefix(copy.opened, { environment, database, databaseId }, wasUsed);
      await store.put(backup.names.manifest, once(text));
      got.push(copy);
    } catch (error) {
      problems.push(`${name}: ${paragraphOf(error)}`);
    }
  }
  if (got.length > 0) return got;
  throw new AgentError('NoCopyStored', `No store took the manifest. ${problems.join(' ')}`);
}

function plannedOf({ opened: { name, store }, verification }: WholeCopy): PlannedCopy {
  return { storeId: store.storeId, store: name, location: store.location, dumpKey: verification.dumpKey };
}

/** Those that are whole, and the same: one at least. */
async function readCopies(
  { names, copies }: FoundBackup,
  deps: RunVerifyDependencies,
  problems: string[],
): Promise<[WholeCopy, ...WholeCopy[]]> {
  const whole: WholeCopy[] = [];
  for (const { opened, dumpKey, sizeBytes } of copies) {
    if (sizeBytes === undefined) continue;
    const verification = await verifyCopy(await sourceOf(opened, dumpKey), deps);
    const [first] = whole;
    if (verification.problems.length > 0) problems.push(`${opened.name}: ${verification.problems.join('; ')}`);
    else if (first && first.verification.sha256 !== verification.sha256) {
      problems.push(`${opened.name}: ${dumpKey} there is another file than in ${first.opened.name}.`);
    } else whole.push({ opened, verification });
  }
  const [first, ...others] = whole;
  if (first) return [first, ...others];
  throw new AgentError(
    'VerificationFailed',
    `${names.dump} was not taken in: ${problems.map((text) => text.replace(/\.$/, '')).join('; ')}.`,
    'It is as it was. `strideiq-agent verify` reads it again; one that is not whole is best removed by hand.',
  );
}

interface Made {
  backupId: string;
  runId: string;
  startedAt: string;
  now: number;
}

/** What reading has shown; what only the server could have told is left empty. */
function manifestOf(
  { environment, database, databaseId, backup }: AdoptRequest,
  { backupId, runId, startedAt, now }: Made,
  whole: readonly [WholeCopy, ...WholeCopy[]],
): Manifest {
  const [{ verification }] = whole;
  const { bytes, rawBytes, sha256: hash, tables, dumpedFrom = '', dumpedBy = '' } = verification;
  const finishedAt = new Date(now).toISOString();
  return {
    formatVersion: 1,
    backupId,
    runId,
    environment,
    database,
    databaseId,
    storeIds: whole.map(({ opened }) => opened.store.storeId),
    agent: { version: agentVersion, hostname: hostname() },
    source: {
      database,
      serverVersion: dumpedFrom,
      serverVersionNumber: 0,
      pgDumpVersion: dumpedBy,
      encoding: '',
      collate: '',
      ctype: '',
      localeProvider: '',
      icuLocale: null,
      standby: false,
      databaseBytes: 0,
      indexBytes: 0,
    },
    snapshot: { takenAt: backup.at.toISOString(), walPosition: '' },
    startedAt,
    finishedAt,
    dumpOptions: { compressionLevel: 0, jobs: 1, excludeTables: [], excludeTableData: [] },
    object: { name: backup.names.dump, bytes, rawBytes, sha256: hash },
    privileges: null,
    globals: null,
    chunks: [],
    tables,
    sequences: [],
    extensions: [],
    roles: [],
    inventory: [],
    passwordsIn: [],
    encryption: null,
    adopted: { at: finishedAt },
  };
}
