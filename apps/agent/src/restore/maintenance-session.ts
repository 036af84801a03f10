import { connect, endConnection, type Connection } from '../postgres/connect.ts';
import type { Endpoint } from '../postgres/endpoint.ts';

/** Shown in `pg_stat_activity`; by it the sessions of a killed run are found. */
export function applicationNameOf(runId: string): string {
  return `strideiq-restore-${runId.slice(-12)}`;
}

/** Short work on a connection of its own: one that idles through an hour of loading is cut by somebody's time limit. */
export async function onMaintenance<T>(
  maintenance: Endpoint,
  runId: string,
  work: (connection: Connection) => Promise<T>,
): Promise<T> {
  const connection = await connect(maintenance, { applicationName: applicationNameOf(runId) });
  try {
    return await work(connection);
  } finally {
    await endConnection(connection);
  }
}
