import { codeOf, newId, paragraphOf, type Manifest } from '@strideiq/core';
import type { BackupOutcome } from '../backup/backup-request.ts';
import { isLockTimeout } from '../backup/dump-process.ts';
import type { HooksConfiguration } from '../configuration/index.ts';
import { AgentError } from '../errors.ts';
import { log } from '../journal/run-log.ts';
import type { InPlace, InPlaceStep, RunDetail } from '../journal/schema.ts';
import type { Connection } from '../postgres/connect.ts';
import type { Endpoint } from '../postgres/endpoint.ts';
import { checkFirst, type Checked } from '../restore/check-first.ts';
import { dropScratch } from '../restore/drop-scratch.ts';
import { fillScratch } from '../restore/fill-scratch.ts';
import { onMaintenance } from '../restore/maintenance-session.ts';
import { planOf, type RestorePlan } from '../restore/plan.ts';
import { Privileges } from '../restore/privileges.ts';
import type { RestoreDependencies, RestoreOutcome, RestoreRequest } from '../restore/restore-request.ts';
import { restoreRunOf } from '../restore/restore-run.ts';
import { outcomeOf, scratchNameOf } from '../restore/run-restore.ts';
import { checkExcluded } from './excluded.ts';
import { checkLive, checkSwappable, createOptionsOf, type LiveDatabase, type LiveServer } from './live-database.ts';
import { freeKeptName } from './kept-names.ts';
import { readLivePrivileges } from './live-privileges.ts';
import { mergePrivileges } from './merge-privileges.ts';
import { aloneAtNames } from './swap-lock.ts';
import { namesOf, swapDatabases, type Swap } from './swap.ts';
import { SwapHooks } from './swap-hooks.ts';

export interface InPlaceRequest extends RestoreRequest {
  /** The database that is replaced. */
  live: Endpoint;
  hooks: HooksConfiguration;
  pgDump: string | undefined;
  hangLimitMs: number;
  /** Backs the database up before anything else; left out where whoever asks has refused it by name. */
  safetyBackup: (() => Promise<BackupOutcome>) | undefined;
  /** Also where the backup was told to leave out rows that the database has. */
  acceptExcluded: boolean;
  stateDir: string;
}

export interface InPlaceOutcome extends RestoreOutcome {
  /** What the replaced database is called now. */
  keptAs: string;
  safetyBackupId: string | undefined;
}

/**
 * Replaces a database by a backup. All is done on a new database, which is proven first; then the two change names in
 * one transaction, and the replaced one is kept. Until then the live database is as it was; where the application does
 * not start after it, it is again.
 * @throws AgentError: the name then belongs to the database that had it before
 */
export async function runInPlace(request: InPlaceRequest, dependencies: RestoreDependencies): Promise<InPlaceOutcome> {
  const { run, deps } = restoreRunOf(request, dependencies, { kind: 'restore', into: request.live.database });
  const replacing = new InPlaceRun(request, deps, run.id);
  return aloneAtNames(request, async () =>
    deps.journal.record(
      run,
      async () => {
        const result = await replacing.run();
        return { result, detail: outcomeOf(result) };
      },
      async () => replacing.cleanUp(),
    ),
  );
}

/** What it would do. @throws AgentError where it could not */
export async function planInPlace(request: InPlaceRequest, deps: RestoreDependencies): Promise<RestorePlan> {
  const into = request.live.database;
  const checked = await checkFirst(request, deps, newId(deps.now()), async (connection, manifest) =>
    checkLive(connection, into, manifest, deps.now()),
  );
  await checkExcluded(request, checked.trust.manifest);
  return planOf(deps.journal, { ...request, into }, checked);
}

class InPlaceRun {
  readonly #request: InPlaceRequest;
  readonly #deps: RestoreDependencies;
  readonly #runId: string;
  readonly #hooks: SwapHooks;
  #inPlace: InPlace | undefined;
  #scratchDatabase: string | undefined;

  constructor(request: InPlaceRequest, deps: RestoreDependencies, runId: string) {
    this.#request = request;
    this.#deps = deps;
    this.#runId = runId;
    const { hooks, database, live, source } = request;
    const backupId = source.found?.manifest.backupId;
    this.#hooks = new SwapHooks({ hooks, journal: deps.journal, runId, database, target: live.database, backupId });
  }

  async run(): Promise<InPlaceOutcome> {
    try {
      return await this.#replace();
    } catch (error) {
      throw await this.#startedAgain(error);
    }
  }

  async #replace(): Promise<InPlaceOutcome> {
    const { maintenance } = this.#request;
    const { progress, signal, journal } = this.#deps;
    const runId = this.#runId;
    const checked = await checkFirst(this.#request, this.#deps, runId, async (...server) => this.#checkLive(...server));
    const { live, keptAs } = checked.server;
    const leftOut = await checkExcluded(this.#request, checked.trust.manifest);
    const scratchDatabase = scratchNameOf(runId);
    this.#inPlace = { database: live.name, oid: live.oid, keptAs, step: 'restoring' };
    this.#scratchDatabase = scratchDatabase;
    journal.describe(runId, { scratchDatabase, inPlace: this.#inPlace });
    const safety = await this.#backUp();
    const { privileges, notes: said } = await this.#privilegesFor(checked);
    const createOptions = createOptionsOf(live, checked.server);
    const filling = { ...checked, request: this.#request, deps: this.#deps, runId, scratchDatabase, createOptions };
    const {
      oid: newOid,
      tables,
      objects,
      notes,
    } = await fillScratch({
      ...filling,
      privileges,
      privilegesOfServer: true,
    });
    await onMaintenance(maintenance, runId, async (connection) => {
      await privileges?.applyToDatabase(connection, scratchDatabase);
    });
    if (privileges) checkGiven(live.name, privileges);
    await this.#checkUnchanged(checked, privileges);
    const outcome: InPlaceOutcome = {
      runId,
      into: live.name,
      backupId: checked.trust.manifest?.backupId,
      tables,
      objects,
      privileges: checked.trust.manifest?.privileges?.name,
      notes: [...subscriptionNotes(live), ...leftOut, ...safety.notes, ...said, ...notes, ...(privileges?.notes ?? [])],
      keptAs,
      safetyBackupId: safety.backupId,
    };
    // Before the swap, so that a restore that is killed just after it tells the same.
    journal.describe(runId, outcomeOf(outcome));
    const opensToPublic = privileges?.opensToPublic ?? false;
    const swap: Swap = { name: live.name, oldOid: live.oid, keptAs, newOid, newName: scratchDatabase, opensToPublic };
    this.#begin('beforeSwap');
    progress({ phase: 'stopping' });
    await this.#hooks.before(signal);
    signal.throwIfAborted();
    this.#begin('swapping');
    progress({ phase: 'swapping' });
    await swapDatabases({ maintenance, runId }, swap);
    log(journal, runId, 'info', `${live.name} is replaced; the database that it was is kept as ${keptAs}`);
    await this.#start(swap);
    return outcome;
  }

  async #checkLive(connection: Connection, manifest?: Manifest): Promise<LiveServer> {
    return checkLive(connection, this.#request.live.database, manifest, this.#deps.now());
  }

  /**
   * Loading may have taken hours. What was found before it must still hold: a slot that somebody made meanwhile would be
   * taken along, and a right that was given or lost would be undone.
   */
  async #checkUnchanged(checked: Checked<LiveServer>, privileges: Privileges | undefined): Promise<void> {
    const { live } = checked.server;
    const { oid } = await onMaintenance(this.#request.maintenance, this.#runId, async (connection) =>
      // Who is connected just now may be gone once the application is stopped: the swap itself looks.
      checkSwappable(connection, live.name),
    );
    if (oid !== live.oid) {
      throw new AgentError(
        'SwapFailed',
        `${live.name} is not the database that it was when this restore began: somebody has put another one under that name.`,
        'Nothing was replaced. Find out who renames or drops databases here, and restore again.',
      );
    }
    const { privileges: now } = await this.#privilegesFor(checked);
    if (isSame(privileges, now)) return;
    throw new AgentError(
      'PrivilegesMoved',
      `Owners, grants or settings of ${checked.server.live.name} were changed while the backup was loaded, and the restored database has them as they were.`,
      'Nothing was replaced. Restore again when nobody changes them.',
    );
  }

  #begin(step: InPlaceStep, more: Partial<InPlace> = {}): void {
    if (!this.#inPlace) throw new Error('no step before the first look');
    this.#inPlace = { ...this.#inPlace, ...more, step };
    this.#deps.journal.describe(this.#runId, { inPlace: this.#inPlace });
  }

  async #backUp(): Promise<{ backupId: string | undefined; notes: string[] }> {
    const { safetyBackup } = this.#request;
    if (!safetyBackup) return { backupId: undefined, notes: ['No backup of the replaced database was made before.'] };
    const { journal } = this.#deps;
    log(journal, this.#runId, 'info', 'Backing up the database that is to be replaced');
    const { backupId, copies } = await safetyBackup();
    this.#begin('restoring', { safetyBackupId: backupId });
    log(journal, this.#runId, 'info', `It is in the backup ${backupId}`);
    const failed = copies.filter(({ state }) => state === 'failed');
    const notes = failed.map(({ store, error }) => `The safety backup has no copy in ${store}: ${error}`);
    return { backupId, notes };
  }

  /** As the live database has them; where it cannot be read, and no backup of it was wanted, as the backup has them. */
  async #privilegesFor({
    trust,
    byOwnRole,
    server,
  }: Checked<LiveServer>): Promise<{ privileges: Privileges | undefined; notes: string[] }> {
    const { source, live: endpoint, pgDump, hangLimitMs, safetyBackup } = this.#request;
    // Those of a source that is not trusted are SQL that nobody vouches for.
    const expected = byOwnRole ? undefined : trust.manifest?.privileges;
    const ofBackup = expected ? await Privileges.ofBackup(source, expected) : undefined;
    const { versionNumber } = server;
    const { signal } = this.#deps;
    const runId = this.#runId;
    try {
      return mergePrivileges(
        ofBackup,
        await readLivePrivileges({ runId, endpoint, versionNumber, pgDump, hangLimitMs, signal }),
      );
    } catch (error) {
      if (signal.aborted || safetyBackup || !isOfDatabase(error)) throw error;
      const from = ofBackup ? 'those of the backup are given instead' : 'none are given, and only superusers may enter';
      return {
        privileges: ofBackup,
        notes: [`Owners and grants of the replaced database could not be read, so ${from}: ${paragraphOf(error)}`],
      };
    }
  }

  /** Where the server does not say, whoever starts the application finds out. */
  async #outcome(): Promise<'replaced' | 'kept'> {
    const { maintenance } = this.#request;
    const names = await onMaintenance(maintenance, this.#runId, async (connection) =>
      namesOf(connection, [this.#inPlace?.oid ?? 0]),
    ).catch(() => undefined);
    const name = names?.get(this.#inPlace?.oid ?? 0);
    return name !== undefined && name !== this.#inPlace?.database ? 'replaced' : 'kept';
  }

  /** From here on nothing interrupts it: it ends with an application that runs, on the one database or the other. */
  async #start(swap: Swap): Promise<void> {
    try {
      this.#begin('afterSwap');
    } catch {
      // The names tell by themselves how far it is, and the application is to be started whatever the journal can hold.
    }
    this.#deps.progress({ phase: 'starting' });
    try {
      await this.#hooks.after('replaced');
    } catch (cause) {
      const undoneAs = await this.#takeBack(swap, cause);
      throw new AgentError(
        cause instanceof AgentError ? cause.code : 'RestoreFailed',
        `The restore was taken back, since the application did not start on it. ${paragraphOf(cause)}`,
        `${swap.name} is the database that it was; the restored one is kept as ${undoneAs}.`,
        { cause },
      );
    }
  }

  /** @returns what the restored one is called then */
  async #takeBack(swap: Swap, why: unknown): Promise<string> {
    const { maintenance } = this.#request;
    const { progress, now } = this.#deps;
    const runId = this.#runId;
    progress({ phase: 'swapping' });
    try {
      const undoneAs = await onMaintenance(maintenance, runId, async (connection) =>
        freeKeptName(connection, swap.name, 'undone', now()),
      );
      this.#begin('undoing', { undoneAs });
      await swapDatabases({ maintenance, runId }, reverseOf(swap, undoneAs));
      return undoneAs;
    } catch (cause) {
      throw new AgentError(
        'SwapFailed',
        `The application did not start on the restored database (${paragraphOf(why)}), and it could not be taken back: ${paragraphOf(cause)}`,
        `${swap.name} is the restored database, and the one that it was is ${swap.keptAs}: \`strideiq-agent restore undo\` tries again.`,
        { cause },
      );
    }
  }

  /** After a failure the application runs again, on whichever database; where it does not, that is the worse of the two. */
  async #startedAgain(error: unknown): Promise<unknown> {
    const step = this.#inPlace?.step ?? 'restoring';
    if (step === 'restoring') return error;
    try {
      await this.#hooks.after(await this.#outcome());
      return error;
    } catch (failure) {
      return new AgentError(
        error instanceof AgentError ? error.code : 'RestoreFailed',
        `${paragraphOf(error)} And the application could not be started again: ${paragraphOf(failure)}`,
        'Start it by hand.',
        { cause: error },
      );
    }
  }

  /** After a failure: nothing half-restored is left. */
  async cleanUp(): Promise<RunDetail> {
    if (this.#scratchDatabase === undefined) return {};
    return dropScratch(this.#request.maintenance, this.#runId, this.#scratchDatabase, this.#deps.now);
  }
}

/** Of a database that is broken, and not of whoever looked at it: a lock that was waited for too long, a tool that is missing. */
function isOfDatabase(error: unknown): boolean {
  const code = codeOf(error);
  return !isLockTimeout(error) && code !== 'PgDumpMissing' && code !== 'PgDumpTooOld';
}

/** Those that are enabled are refused. */
function subscriptionNotes({ name, disabledSubscriptions }: LiveDatabase): string[] {
  if (disabledSubscriptions.length === 0) return [];
  return [
    `The restored database has none of the subscriptions of ${name} (${disabledSubscriptions.join(', ')}), which are in the database that is kept: drop them there before it can be dropped.`,
  ];
}

/**
 * A right that could not be given back is one that the application would miss.
 * @throws AgentError `PrivilegeMissing`
 */
function checkGiven(name: string, { refused }: Privileges): void {
  if (refused.length === 0) return;
  throw new AgentError(
    'PrivilegeMissing',
    `The restoring role may not give the restored database the owners and grants that ${name} has: ${refused.slice(0, 3).join('; ')}.`,
    'Nothing was replaced. Restore as a superuser, or make the role a member of those that own tables there.',
  );
}

/** Whether both give the same, but for large objects, which come and go as rows do. */
function isSame(some: Privileges | undefined, others: Privileges | undefined): boolean {
  const texts = (of: Privileges | undefined) =>
    [...(of?.ofObjects ?? []), ...(of?.ofDatabase ?? [])]
      .map((statement) => statement.toString('latin1'))
      .filter((text) => !text.includes(' LARGE OBJECT '))
      .toSorted();
  return texts(some).join('') === texts(others).join('');
}

/** Gives the name back. @param undoneAs what the restored one is called then */
export function reverseOf({ name, oldOid, keptAs, newOid }: Swap, undoneAs: string): Swap {
  return { name, oldOid: newOid, keptAs: undoneAs, newOid: oldOid, newName: keptAs, opensToPublic: false };
}
