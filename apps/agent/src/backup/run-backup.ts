import { newId, paragraphOf, shapeOf, signDocument, type BackupNames, type Manifest } from '@strideiq/core';
import { writeDump, type DumpResult } from '@strideiq/dump';
import { AgentError } from '../errors.ts';
import { readContents } from '../inventory/read-contents.ts';
import { readInventory } from '../inventory/read-inventory.ts';
import { askedBy } from '../journal/journal.ts';
import { loggingPhases } from '../journal/run-log.ts';
import { longestTimerMs } from '../longest-timer.ts';
import { findTool, type Tool } from '../postgres/client-tools.ts';
import { answered, type Connection } from '../postgres/connect.ts';
import { matchingTables } from '../postgres/table-patterns.ts';
import type { BackupDependencies, BackupOutcome, BackupRequest } from './backup-request.ts';
import { connectUntil } from './connect-until.ts';
import { Copy, NoCopyError, chooseNames, type Sealed } from './copies.ts';
import { lockDatabase } from './database-lock.ts';
import { FanOut } from './fan-out.ts';
import { makeManifest, manifestText, sealedBackupOf, sha256, type Contents, type ManifestParts } from './manifest.ts';
import { checkPrivileges, readServerFacts, type ServerFacts } from './preflight.ts';
import { lowerPriority } from './priority.ts';
import { readGlobals, type Globals } from './globals.ts';
import { isOfSidecar, readPrivileges, sidecarOf, type PrivilegeParts } from './privileges.ts';
import { Lanes } from './lanes.ts';
import { Leader } from './snapshot.ts';
import { startDump, type StartedDump } from './start-dump.ts';
import { watchDump } from './watch-dump.ts';

/**
 * A backup, from the first look at the server to the newest names in the stores. Succeeds when at least one copy is
 * stored; each copy's own outcome is in the result.
 * @throws AgentError and whatever the parts throw; the journal then holds the failed run, and no store an object of it
 */
export async function runBackup(request: BackupRequest, dependencies: BackupDependencies): Promise<BackupOutcome> {
  const { journal, now } = dependencies;
  const { environment, database, databaseId, asked } = request;
  const runId = asked?.runId ?? newId(now());
  const backupId = newId(now());
  const detail = { backupId, ...askedBy(asked), ...(request.safety === true ? { safety: true as const } : {}) };
  return journal.record(
    { id: runId, kind: 'backup', environment, database, databaseId, detail },
    async () => {
      const progress = loggingPhases(journal, runId, dependencies.progress);
      const giveBack = lowerPriority(request.nice);
      const run = new BackupRun(request, { ...dependencies, progress }, runId, backupId).run();
      const result = await run.finally(giveBack);
      const { manifest, copies, warnings } = result;
      const { bytes, rawBytes } = manifest.object;
      const rows = manifest.tables.reduce((sum, table) => sum + table.rows, 0);
      return { result, detail: { copies, warnings, bytes, rawBytes, rows } };
    },
    (error) => (error instanceof NoCopyError ? { copies: error.copies } : {}),
  );
}

/** How long an interrupt waits for a server to answer. */
const interruptGraceMs = 5000;

class BackupRun {
  readonly #request: BackupRequest;
  readonly #deps: BackupDependencies;
  readonly #runId: string;
  readonly #backupId: string;
  readonly #startedAt: Date;

  constructor(request: BackupRequest, deps: BackupDependencies, runId: string, backupId: string) {
    this.#request = request;
    this.#deps = deps;
    this.#runId = runId;
    this.#backupId = backupId;
    this.#startedAt = new Date(deps.now());
  }

  get #applicationName(): string {
    return `strideiq-backup-${this.#runId.slice(-12)}`;
  }

  async run(): Promise<BackupOutcome> {
    const { endpoint, database } = this.#request;
    this.#deps.progress({ phase: 'preparing' });
    const options = { applicationName: `${this.#applicationName}-leader` };
    const open = async () => connectUntil(this.#deps.signal, endpoint, options);
    const connection = await open();
    const leader = new Leader(connection, open, this.#answerLimitMs);
    let lanes: Lanes | undefined;
    // Whatever still waits for a server that does not answer is not to outlive an interrupt.
    const cut = () => setTimeout(() => connection.connection.stream.destroy(), interruptGraceMs).unref();
    this.#deps.signal.addEventListener('abort', cut, { once: true });
    try {
      await answered(connection, lockDatabase(connection, database), this.#answerLimitMs);
      const facts = await answered(connection, readServerFacts(connection), this.#answerLimitMs);
      const tool = await findTool('pg_dump', endpoint, facts.major, this.#request.pgDump);
      const excluded = await answered(
        connection,
        matchingTables(connection, this.#request.excludeTables),
        this.#answerLimitMs,
      );
      leader.leaveOut(excluded);
      await answered(connection, checkPrivileges(connection, facts, excluded), this.#answerLimitMs);
      const expectedBytes = this.#expectedBytes(facts);
      const copies = await this.#prepareCopies(expectedBytes);
      const names = await this.#planNames(copies);
      lanes = await this.#lanes(connection, facts);
      const limits = { ...this.#request, signal: this.#deps.signal };
      const started = await startDump(leader, lanes, this.#dumpOptions(tool, facts), limits);
      return await this.#dumpAndStore({ leader, lanes, facts, tool, excluded, expectedBytes, copies, names, started });
    } catch (error) {
      // Ctrl-C reaches pg_dump too, which may end before we have heard of it.
      throw this.#deps.signal.aborted ? this.#deps.signal.reason : error;
    } finally {
      this.#deps.signal.removeEventListener('abort', cut);
      await Promise.all([leader.end(), lanes?.end()]);
    }
  }

  async #lanes(connection: Connection, { encoding, major }: ServerFacts): Promise<Lanes> {
    const { endpoint, jobs, laneTableBytes, excludeTableData } = this.#request;
    const looking = matchingTables(connection, excludeTableData);
    return new Lanes({
      endpoint,
      applicationName: this.#applicationName,
      jobs,
      leastTableBytes: laneTableBytes,
      encoding,
      major,
      withoutRows: await answered(connection, looking, this.#answerLimitMs),
      answerLimitMs: this.#answerLimitMs,
      signal: this.#deps.signal,
    });
  }

  /** How long the server may take to answer a look at it: those of a large database take a while. */
  get #answerLimitMs(): number {
    return Math.max(this.#request.hangLimitMs, 10_000);
  }

  async #prepareCopies(expectedBytes: number): Promise<Copy[]> {
    const { stores, environment, database, databaseId } = this.#request;
    const copies = stores.map((opened) => new Copy(opened, this.#request.stallLimitMs));
    const owner = { environment, database, databaseId };
    const wasUsed = ({ opened }: Copy) => this.#deps.journal.copies.hasStoredIn(owner.databaseId, opened.store.storeId);
    await Promise.all(copies.map(async (copy) => copy.prepare(owner, expectedBytes, wasUsed(copy))));
    if (copies.every((copy) => copy.failed)) throw new NoCopyError(copies);
    return copies;
  }

  /** What the last good backup took and a tenth more; for the first one, a tenth of what the tables hold. */
  #expectedBytes(facts: ServerFacts): number {
    const last = this.#deps.journal
      .recent(this.#request.databaseId, 'backup')
      .find((run) => run.state === 'succeeded' && run.detail.bytes !== undefined);
    return last?.detail.bytes ? last.detail.bytes * 1.1 : (facts.databaseBytes - facts.indexBytes) * 0.1;
  }

  async #planNames(copies: Copy[]): Promise<BackupNames> {
    const names = await chooseNames(this.#request.database, this.#startedAt, copies);
    if (copies.every((copy) => copy.failed)) throw new NoCopyError(copies);
    // Written down before the first byte leaves, so that a killed run's leftovers can be found.
    this.#deps.journal.describe(this.#runId, { copies: copies.map((copy) => copy.planned(names.dump)) });
    return names;
  }

  #dumpOptions(tool: Tool, { encoding }: ServerFacts) {
    const { endpoint, excludeTables, excludeTableData, lockWaitLimitMs } = this.#request;
    return {
      tool,
      endpoint,
      encoding,
      applicationName: this.#applicationName,
      excludeTables,
      excludeTableData,
      lockWaitLimitMs,
    };
  }

  async #dumpAndStore(work: Work): Promise<BackupOutcome> {
    const { leader, lanes, copies, names, started, expectedBytes } = work;
    const fanOut = new FanOut(this.#request.stallLimitMs);
    for (const copy of copies) copy.upload(names, fanOut, expectedBytes);
    const watch = watchDump([started.process, lanes], leader, {
      ...this.#request,
      signal: this.#deps.signal,
      onEnd: (reason) => fanOut.fail(reason),
    });
    const warnings = [...lanes.warnings];
    const beside = new AbortController();
    const reading = this.#beside(work, warnings, beside.signal);
    const looking = this.#contents(work);
    // A dump is nothing without them: nobody is to wait for the rest of it.
    looking.catch(async (error: unknown) => {
      // Where the connection was lost, the watch says so first.
      await new Promise(setImmediate);
      fanOut.fail(error as Error);
      await started.process.stop(error as Error);
    });
    let sealed: Sealed;
    let manifest: Manifest;
    try {
      const objects: Buffer[] = [];
      const result = await this.#dump(work, fanOut, (sql) => isOfSidecar(sql) && objects.push(sql));
      const contents = await answered(leader.connection, looking, this.#answerLimitMs);
      // The dump is whole: what happens to server or pg_dump now does it no harm.
      watch.stop();
      this.#deps.progress({ phase: 'privileges' });
      const { parts, globals } = await reading;
      const privileges = parts ? sidecarOf(parts, objects) : undefined;
      this.#deps.signal.throwIfAborted();
      manifest = this.#manifest(work, result, contents, { privileges, globals });
      const text = manifestText(manifest, names.manifest);
      // Whoever takes LATEST wants what was there before something went wrong.
      const newest = manifest.safety !== true;
      sealed = { names, manifest: text, privileges, globals: globals?.file, dumpBytes: result.bytes, newest };
      this.#seal(sealed, manifest);
      this.#deps.progress({ phase: 'storing' });
      // What remains is the stores' own: the server need not keep old rows for us as long as that takes.
      await Promise.all([leader.release().catch(() => undefined), lanes.end()]);
      fanOut.end();
    } catch (caught) {
      // What else fails when pg_dump is ended says less than why it was.
      const error: unknown = started.process.stoppedBy ?? caught;
      beside.abort(error);
      fanOut.fail(error as Error);
      const stopping = [started.process, lanes].map(async (part) => part.stop(error as Error, leader.connection));
      await Promise.all([...stopping, reading, looking.catch(() => undefined)]);
      await Promise.all(copies.map(async (copy) => copy.settled()));
      throw error instanceof AgentError && error.code === 'NoCopyStored' ? new NoCopyError(copies, names.dump) : error;
    } finally {
      watch.stop();
    }
    await this.#complete(copies, sealed, fanOut);
    if (copies.every((copy) => copy.failed)) throw new NoCopyError(copies, names.dump);
    warnings.push(...copies.flatMap((copy) => copy.warnings));
    const outcomes = copies.map((copy) => copy.outcome(names.dump));
    return { runId: this.#runId, backupId: this.#backupId, manifest, copies: outcomes, warnings };
  }

  /** An interrupt ends the uploads that have not yet committed; a copy that has is finished, since it is good. */
  async #complete(copies: readonly Copy[], sealed: Sealed, fanOut: FanOut): Promise<void> {
    const { signal } = this.#deps;
    const interrupted = () => fanOut.fail(signal.reason as Error);
    if (signal.aborted) interrupted();
    else signal.addEventListener('abort', interrupted, { once: true });
    try {
      await Promise.all(copies.map(async (copy) => copy.complete(sealed)));
    } finally {
      signal.removeEventListener('abort', interrupted);
    }
    if (copies.every((copy) => copy.failed)) signal.throwIfAborted();
  }

  async #contents({ leader: { connection }, excluded }: Work): Promise<Contents> {
    const [contents, inventory] = await Promise.all([readContents(connection), readInventory(connection, excluded)]);
    return { ...contents, inventory };
  }

  async #dump(
    { facts, lanes, started }: Work,
    fanOut: FanOut,
    takePrivileges: (sql: Buffer) => void,
  ): Promise<DumpResult> {
    const expectedRawBytes = facts.databaseBytes - facts.indexBytes;
    const begin = { phase: 'dumping' as const, expectedRawBytes };
    this.#deps.progress(begin);
    return writeDump(started.process.output(), async (bytes) => fanOut.write(bytes), {
      level: this.#request.compressionLevel,
      lanes: lanes.work(),
      takePrivileges,
      onProgress: (progress) => this.#deps.progress({ ...begin, ...progress }),
    });
  }

  /** What no dump holds. Never rejects: a whole dump is not thrown away for it. */
  async #beside(
    { leader, tool, facts, started }: Work,
    warnings: string[],
    ended: AbortSignal,
  ): Promise<{ parts?: PrivilegeParts | undefined; globals?: Globals | undefined }> {
    const { endpoint, pgDump, hangLimitMs, snapshotAgeLimitMs, rolePasswords } = this.#request;
    const tooLong = AbortSignal.timeout(Math.min(snapshotAgeLimitMs, longestTimerMs));
    const signal = AbortSignal.any([this.#deps.signal, ended, tooLong]);
    const applicationName = `${this.#applicationName}-privileges`;
    const common = { connection: leader.connection, endpoint, applicationName, hangLimitMs, signal };
    const orWarn = async <T>(what: string, read: () => Promise<T>): Promise<T | undefined> => {
      try {
        return await read();
      } catch (error) {
        warnings.push(`${what} are not in this backup, its rows are: ${paragraphOf(error)}`);
        return undefined;
      }
    };
    const findRolesTool = async () => findTool('pg_dumpall', endpoint, facts.major, pgDump);
    const parts = await orWarn('Owners and grants', async () =>
      readPrivileges({
        ...common,
        dumpTool: tool,
        rolesTool: await findRolesTool(),
        snapshotId: started.snapshot.id,
        encoding: facts.encoding,
      }),
    );
    const globals = await orWarn('The globals of the server', async () =>
      readGlobals({ ...common, tool: await findRolesTool(), rolePasswords }),
    );
    if (rolePasswords && globals?.rolePasswords === false) {
      warnings.push(
        `Role passwords are not in this backup: dump.rolePasswords asks for them, and ${endpoint.user} may not read them. Let a superuser or a member of pg_read_all_data make the backups, or take the key out.`,
      );
    }
    return { parts, globals };
  }

  #seal(sealed: Sealed, manifest: Manifest): void {
    const manifestSha256 = sha256(sealed.manifest);
    const seal = {
      runId: this.#runId,
      backupId: this.#backupId,
      manifest: sealed.manifest.toString(),
      manifestSha256,
      privileges: sealed.privileges ?? null,
      globals: sealed.globals ?? null,
    };
    const sealedBackup = sealedBackupOf(manifest, manifestSha256);
    // One that is made before its database is replaced is no step in the life of that database.
    if (manifest.safety === true) return this.#deps.journal.seal(seal, sealedBackup);
    const { journal } = this.#deps;
    const [{ databaseId }, shape] = [manifest, shapeOf(manifest)];
    const comparison = journal.shapes.compare(databaseId, shape);
    journal.seal(seal, comparison ? { ...sealedBackup, comparison } : sealedBackup, { databaseId, shape });
  }

  #manifest(
    { facts, lanes, tool, names, started }: Work,
    result: DumpResult,
    contents: Contents,
    beside: Pick<ManifestParts, 'privileges' | 'globals'>,
  ): Manifest {
    const parts = {
      request: this.#request,
      ids: { backupId: this.#backupId, runId: this.#runId },
      jobs: Math.max(1, lanes.count),
      startedAt: this.#startedAt,
      finishedAt: new Date(this.#deps.now()),
      facts,
      toolVersion: tool.version,
      snapshot: started.snapshot,
      names,
      result,
      contents,
      ...beside,
    };
    return signDocument(makeManifest(parts), this.#deps.key);
  }
}

/** What the steps of one run hand to each other. */
interface Work {
  leader: Leader;
  lanes: Lanes;
  facts: ServerFacts;
  tool: Tool;
  excluded: number[];
  /** About what the dump will take in a store. */
  expectedBytes: number;
  copies: Copy[];
  names: BackupNames;
  started: StartedDump;
}
