import { setTimeout as delay } from 'node:timers/promises';
import { AgentError } from '../errors.ts';
import { DumpProcess, isDumpFailure, isLockTimeout, type DumpProcessOptions } from './dump-process.ts';
import type { Leader, Snapshot } from './snapshot.ts';
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

/**
 * Takes a snapshot and starts pg_dump on it, again and again until nothing moved in between: a table truncated,
 * rewritten or dropped between the snapshot and pg_dump's own lock would be dumped as zero rows, without any error.
 * @throws AgentError `SchemaMoves` when it never holds still; `DumpFailed`, `LockNotAvailable`, `PrivilegeMissing`
 */
export async function startDump(
  leader: Leader,
  options: Omit<DumpProcessOptions, 'snapshotId'>,
  limits: WatchOptions,
): Promise<StartedDump> {
  const { signal } = limits;
  const giveUpAt = performance.now() + options.lockWaitLimitMs;
  const lockWaitLimitMs = Math.min(dumpLockWaitMs, options.lockWaitLimitMs);
  let moved = '';
  for (let attempt = 1; attempt <= mostAttempts;) {
    const snapshot = await leader.begin(options.lockWaitLimitMs, signal);
    // A signal that has aborted already tells nobody any more.
    signal.throwIfAborted();
    const process = new DumpProcess({ ...options, lockWaitLimitMs, snapshotId: snapshot.id });
    const watch = watchDump(process, leader, limits);
    try {
      await process.started();
      const tables = await leader.movedTables();
      if (tables.length === 0) return { snapshot, process };
      moved = tables.slice(0, 3).join(', ');
      attempt++;
    } catch (caught) {
      const error: unknown = process.stoppedBy ?? caught;
      const waited = isLockTimeout(error);
      if (waited && performance.now() > giveUpAt) {
        const refusal = await leader.lockError(error, options.lockWaitLimitMs);
        await process.stop(refusal, leader.connection);
        throw refusal;
      }
      if (!waited) attempt++;
      if (!waited && !isMove(error)) {
        await process.stop(error as Error, leader.connection);
        throw error;
      }
      moved = error.message;
    } finally {
      watch.stop();
    }
    await process.stop(new AgentError('SchemaMoves', `${moved} changed.`), leader.connection);
    await leader.release();
    // Not in step with whatever comes again and again.
    await delay(200 * attempt * (0.5 + Math.random()), undefined, { signal });
  }
  throw new AgentError(
    'SchemaMoves',
    `Tables changed under the backup at each of ${mostAttempts} attempts to begin it: ${moved}.`,
    'Nothing was stored. A migration or a job that truncates tables is running: run the backup again when it is done.',
  );
}

/** What pg_dump says when a relation went away between its listing and its lock. */
function isMove(error: unknown): error is AgentError {
  return (
    isDumpFailure(error) &&
    /does not exist|cache lookup failed|could not open relation|could not find/.test(error.message)
  );
}
