import { setTimeout as delay } from 'node:timers/promises';
import { AgentError } from '../errors.ts';
import { DumpProcess, isDumpFailure, isLockTimeout, type DumpProcessOptions } from './dump-process.ts';
import type { Lanes } from './lanes.ts';
import { isLockRefusal, type Leader, type Snapshot } from './snapshot.ts';
import { watchDump, type WatchOptions } from './watch-dump.ts';

const mostAttempts = 8;

/**
 * How long pg_dump itself may wait for a lock before everything is let go of. Short: it may stand behind a TRUNCATE that
 * waits for the leader, which waits for pg_dump. PostgreSQL cannot see that deadlock, and the application stands in it.
 */
const dumpLockWaitMs = 2000;

/** A dump that has begun, on a snapshot whose tables can no longer move. */
export interface StartedDump {
  snapshot: Snapshot;
  process: DumpProcess;
}

/** An attempt that came to nothing, and may well succeed the next time. */
class Retry {
  /** Why a lock could not be had; undefined where a table has moved. */
  readonly refusal: Error | undefined;
  readonly moved: string;

  constructor(moved: string, refusal?: Error) {
    this.moved = moved;
    this.refusal = refusal;
  }
}

/**
 * Takes a snapshot, has the lanes join it and starts pg_dump on it, again and again until nothing moved in between: a
 * table truncated, rewritten or dropped between the snapshot and the locks would be dumped as zero rows, without any error.
 * @throws AgentError `SchemaMoves` when it never holds still; `DumpFailed`, `LockNotAvailable`, `PrivilegeMissing`
 */
export async function startDump(
  leader: Leader,
  lanes: Lanes,
  options: Omit<DumpProcessOptions, 'snapshotId'>,
  limits: WatchOptions,
): Promise<StartedDump> {
  const { signal } = limits;
  const giveUpAt = performance.now() + options.lockWaitLimitMs;
  let moved = '';
  for (let attempt = 1; attempt <= mostAttempts;) {
    const result = await startOnce(leader, lanes, options, limits);
    if (!(result instanceof Retry)) return result;
    const { refusal } = result;
    if (refusal && performance.now() > giveUpAt) throw await leader.lockError(refusal, options.lockWaitLimitMs);
    if (!refusal) attempt++;
    moved = result.moved;
    await Promise.all([leader.release(), lanes.leave()]);
    // Not in step with whatever comes again and again.
    await delay(200 * attempt * (0.5 + Math.random()), undefined, { signal });
  }
  throw new AgentError(
    'SchemaMoves',
    `Tables changed under the backup at each of ${mostAttempts} attempts to begin it: ${moved}.`,
    'Nothing was stored. A migration or a job that truncates tables is running: run the backup again when it is done.',
  );
}

async function startOnce(
  leader: Leader,
  lanes: Lanes,
  options: Omit<DumpProcessOptions, 'snapshotId'>,
  limits: WatchOptions,
): Promise<StartedDump | Retry> {
  const { signal } = limits;
  const snapshot = await leader.begin(options.lockWaitLimitMs, signal);
  try {
    await lanes.join(leader.connection, snapshot);
  } catch (error) {
    if (isLockRefusal(error)) return new Retry(error.message, error);
    throw error;
  }
  // A signal that has aborted already tells nobody any more.
  signal.throwIfAborted();
  const lockWaitLimitMs = Math.min(dumpLockWaitMs, options.lockWaitLimitMs);
  const excludeTableData = [...options.excludeTableData, ...lanes.patterns];
  const process = new DumpProcess({ ...options, excludeTableData, lockWaitLimitMs, snapshotId: snapshot.id });
  const watch = watchDump([process, lanes], leader, limits);
  let retry: Retry;
  try {
    const tables = await leader.movedTables(process.started());
    if (tables.length === 0) return { snapshot, process };
    retry = new Retry(tables.slice(0, 3).join(', '));
  } catch (caught) {
    const error: unknown = process.stoppedBy ?? caught;
    if (!isLockTimeout(error) && !isMove(error)) {
      await process.stop(error as Error, leader.connection);
      throw error;
    }
    retry = new Retry(error.message, isLockTimeout(error) ? error : undefined);
  } finally {
    watch.stop();
  }
  await process.stop(new AgentError('SchemaMoves', `${retry.moved} changed.`), leader.connection);
  return retry;
}

/** What pg_dump says when a relation went away between its listing and its lock. */
function isMove(error: unknown): error is AgentError {
  return (
    isDumpFailure(error) &&
    /does not exist|cache lookup failed|could not open relation|could not find/.test(error.message)
  );
}
