import { paragraphOf } from '@strideiq/core';
import type { RunDetail } from '../journal/schema.ts';
import type { Endpoint } from '../postgres/endpoint.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import { onMaintenance } from './maintenance-session.ts';
import { dropUntrustedRole, untrustedRoleOf } from './untrusted-role.ts';

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
      await connection.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(name)} WITH (FORCE)`);
      await dropUntrustedRole(connection, untrustedRoleOf(runId));
    });
    return { clearedAt: now() };
  } catch (error) {
    return {
      warnings: [`The database ${name}, which this run made, or its role could not be dropped: ${paragraphOf(error)}`],
    };
  }
}
