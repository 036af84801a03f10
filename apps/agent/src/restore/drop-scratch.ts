import { paragraphOf } from '@strideiq/core';
import type { RunDetail } from '../journal/schema.ts';
import type { Connection } from '../postgres/connect.ts';
import type { Endpoint } from '../postgres/endpoint.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import { onMaintenance } from './maintenance-session.ts';
import { dropUntrustedRole, untrustedRoleOf } from './untrusted-role.ts';

/** Drops a database that a run has made; none is fine. Its owner may have marked it as a template, be it by the dump. */
export async function dropOwnDatabase(connection: Connection, name: string): Promise<void> {
  const { rows } = await connection.query('SELECT FROM pg_database WHERE datname = $1 AND datistemplate', [name]);
  if (rows.length > 0) await connection.query(`ALTER DATABASE ${quoteIdentifier(name)} IS_TEMPLATE false`);
  await connection.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(name)} WITH (FORCE)`);
}

/**
 * Drops what a restore that failed had made. What cannot be dropped now is said, stands in the journal, and is dropped
 * at the next start.
 */
export async function dropScratch(
  maintenance: Endpoint,
  runId: string,
  name: string,
  now: () => number,
): Promise<RunDetail> {
  try {
    await onMaintenance(maintenance, runId, async (connection) => {
      await dropOwnDatabase(connection, name);
      await dropUntrustedRole(connection, untrustedRoleOf(runId));
    });
    return { clearedAt: now() };
  } catch (error) {
    return {
      warnings: [`The database ${name}, which this run made, or its role could not be dropped: ${paragraphOf(error)}`],
    };
  }
}
