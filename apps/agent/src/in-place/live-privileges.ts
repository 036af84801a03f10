import { readAllPrivileges, sidecarOf } from '../backup/privileges.ts';
import { findTool } from '../postgres/client-tools.ts';
import { connect, endConnection } from '../postgres/connect.ts';
import type { Endpoint } from '../postgres/endpoint.ts';
import { applicationNameOf } from '../restore/maintenance-session.ts';
import { Privileges } from '../restore/privileges.ts';

export interface LivePrivilegesOptions {
  runId: string;
  /** The database that is to be replaced. */
  endpoint: Endpoint;
  versionNumber: number;
  pgDump: string | undefined;
  hangLimitMs: number;
  signal: AbortSignal;
}

/** Owners, grants and settings as a live database has them at this moment. */
export async function readLivePrivileges(options: LivePrivilegesOptions): Promise<Privileges> {
  const { runId, endpoint, versionNumber, pgDump, hangLimitMs, signal } = options;
  const major = Math.floor(versionNumber / 10_000);
  const applicationName = applicationNameOf(runId);
  const [dumpTool, rolesTool] = await Promise.all([
    findTool('pg_dump', endpoint, major, pgDump),
    findTool('pg_dumpall', endpoint, major, pgDump),
  ]);
  const connection = await connect(endpoint, { applicationName });
  try {
    await connection.query('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY');
    const { rows } = await connection.query<{ id: string; encoding: string }>(
      `SELECT pg_export_snapshot() AS id, current_setting('server_encoding') AS encoding`,
    );
    const parts = await readAllPrivileges({
      connection,
      dumpTool,
      rolesTool,
      endpoint,
      snapshotId: rows[0]?.id ?? '',
      encoding: rows[0]?.encoding ?? '',
      applicationName,
      hangLimitMs,
      signal,
    });
    return await Privileges.of(sidecarOf(parts));
  } finally {
    await endConnection(connection);
  }
}
