import type { Host } from '../compose.ts';
import type { DatabaseConfiguration } from '../configuration/index.ts';

/**
 * Work on one database of the host after another. What is opened for one is closed before the next, so that a host with many
 * databases has the stores of one open at a time.
 * @throws what the work throws; the signal's reason once it is told to stop
 */
export async function eachDatabase(
  host: Host,
  signal: AbortSignal,
  work: (host: Host, database: DatabaseConfiguration) => Promise<void>,
): Promise<void> {
  for (const database of Object.values(host.configuration.databases)) {
    const own = host.forWork(signal);
    try {
      await work(own, database);
    } finally {
      own.close();
    }
    signal.throwIfAborted();
  }
}
