import { join } from 'node:path';
import { AgentError } from '../errors.ts';
import { FileLock } from '../journal/file-lock.ts';

const fileIn = (stateDir: string) => join(stateDir, 'daemon.lock');

/**
 * Held by the daemon of a state directory.
 * @throws AgentError `DaemonRunning`, `StateUnusable`
 */
export function takeDaemonLock(stateDir: string): FileLock {
  const lock = FileLock.take(fileIn(stateDir));
  if (lock) return lock;
  throw new AgentError(
    'DaemonRunning',
    `Another \`strideiq-agent run\` works with the state directory ${stateDir}.`,
    'One is enough. Stop that one first, or give this one another `stateDir`.',
  );
}

/**
 * Whether a daemon works with that state directory just now.
 * @throws AgentError `StateUnusable`
 */
export function isDaemonRunning(stateDir: string): boolean {
  return FileLock.isHeld(fileIn(stateDir));
}
