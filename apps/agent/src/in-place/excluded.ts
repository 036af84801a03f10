import { paragraphOf, type Manifest } from '@strideiq/core';
import { AgentError } from '../errors.ts';
import { connect, endConnection } from '../postgres/connect.ts';
import { matchingTables } from '../postgres/table-patterns.ts';
import type { InPlaceRequest } from './run-in-place.ts';

const mostNamed = 5;

/**
 * Rows that a database has, and that a backup was told to leave out, would be gone without a word: all that is compared is
 * what the backup holds.
 * @returns what is to be told where that is accepted, or cannot be looked at
 * @throws AgentError `SwapImpossible`
 */
export async function checkExcluded(
  { live, acceptExcluded }: Pick<InPlaceRequest, 'live' | 'acceptExcluded'>,
  manifest: Manifest | undefined,
): Promise<string[]> {
  const { excludeTables = [], excludeTableData = [] } = manifest?.dumpOptions ?? {};
  const patterns = [...excludeTables, ...excludeTableData];
  if (patterns.length === 0) return [];
  let tables: string[];
  try {
    tables = await tablesWithRows(live, patterns);
  } catch (error) {
    return [
      `The backup was told to leave out ${patterns.join(', ')}, and what the replaced database has of it could not be looked at: ${paragraphOf(error)}`,
    ];
  }
  if (tables.length === 0) return [];
  const named = tables.slice(0, mostNamed).join(', ') + (tables.length > mostNamed ? ' …' : '');
  if (acceptExcluded) {
    return [
      `The backup was told to leave out rows that the replaced database has, and that are now in that one alone: ${named}.`,
    ];
  }
  throw new AgentError(
    'SwapImpossible',
    `${live.database} has rows that the backup was told to leave out, and that would be gone from it: ${named}.`,
    'If that is meant, say --accept-excluded on the host; they are then in the database that is kept. Or restore a backup that was made without dump.excludeTables and dump.excludeTableData, or single tables with --replace-rows.',
  );
}

async function tablesWithRows(live: InPlaceRequest['live'], patterns: readonly string[]): Promise<string[]> {
  const connection = await connect(live, { applicationName: 'strideiq-restore' });
  try {
    const { rows } = await connection.query<{ name: string }>(
      `SELECT c.oid::regclass::text AS name FROM pg_class c
        WHERE c.relkind = 'r' AND c.oid::int8::float8 = ANY ($1::float8[]) AND pg_relation_size(c.oid) > 0
        ORDER BY pg_relation_size(c.oid) DESC, 1`,
      [await matchingTables(connection, patterns)],
    );
    return rows.map(({ name }) => name);
  } finally {
    await endConnection(connection);
  }
}
