import { AgentError } from '../errors.ts';
import { longestTimerMs } from '../longest-timer.ts';
import { answered, type Connection } from '../postgres/connect.ts';
import type { Leader } from './snapshot.ts';

/** What a dump is made by. */
export interface Watched {
  /** Why it counts as hanging, where it has been silent for so long. */
  hangs(limitMs: number, connection: Connection): Promise<AgentError | undefined>;
  stop(reason: Error, connection?: Connection): Promise<void>;
}

export interface WatchOptions {
  /** How long pg_dump or a lane may be silent while we read. */
  hangLimitMs: number;
  /** How long the snapshot may be held. */
  snapshotAgeLimitMs: number;
  signal: AbortSignal;
  /** Told before they are ended: whoever waits for a slow store would not see that it has. */
  onEnd?: (reason: Error) => void;
}

const lookEveryMs = 5000;

/**
 * Ends a dump when pg_dump or a lane hangs, the leader's connection is lost or dead, the snapshot grows too old, or the signal
 * aborts.
 */
export function watchDump(parts: readonly Watched[], leader: Leader, options: WatchOptions): { stop(): void } {
  const { hangLimitMs, snapshotAgeLimitMs, signal } = options;
  const { connection } = leader;
  const end = (reason: Error) => {
    options.onEnd?.(reason);
    for (const part of parts) void part.stop(reason, connection);
  };
  const interrupted = () => end(signal.reason as Error);
  const lost = () => end(connectionLost());
  let isLooking = false;
  const look = async () => {
    // One at a time: a server that answers nobody is not asked ever more.
    if (isLooking) return;
    isLooking = true;
    // Where it is not answered the connection is cut, which `lost` hears of.
    const looks = parts.map(async (part) => part.hangs(hangLimitMs, connection));
    const hangs = await answered(connection, Promise.all(looks), hangLimitMs).catch(() => []);
    isLooking = false;
    const hang = hangs.find((each) => each !== undefined);
    if (hang) end(hang);
  };
  const looking = setInterval(() => void look(), Math.min(lookEveryMs, hangLimitMs));
  const ageing = setTimeout(
    () => end(snapshotTooOld(snapshotAgeLimitMs)),
    Math.min(snapshotAgeLimitMs, longestTimerMs),
  );
  connection.once('end', lost);
  if (signal.aborted) interrupted();
  else signal.addEventListener('abort', interrupted, { once: true });
  return {
    stop() {
      clearInterval(looking);
      clearTimeout(ageing);
      connection.off('end', lost);
      signal.removeEventListener('abort', interrupted);
    },
  };
}

function connectionLost(): AgentError {
  return new AgentError(
    'ConnectionLost',
    'The connection that holds the backup’s snapshot and locks was lost.',
    'Nothing of this dump was kept. Look whether the server was restarted or the session ended, and run the backup again.',
  );
}

function snapshotTooOld(limitMs: number): AgentError {
  return new AgentError(
    'SnapshotTooOld',
    `The backup has held its snapshot for ${Math.round(limitMs / 60_000)} minutes, the longest that it may.`,
    'Nothing of it was kept. Look what slowed it down, the server, the network or a store, or raise `dump.snapshotAgeLimit`.',
  );
}
