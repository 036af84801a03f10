import type { PostgresCluster } from '../postgres/cluster.ts';

/**
 * The schema as pg_dump prints it, without owners and grants, and without the lines that differ from run to run or from
 * version to version: `\restrict` with its random key, and the comments that name versions.
 */
export async function schemaText(cluster: PostgresCluster, database: string): Promise<string> {
  const { stdout } = await cluster.runClient('pg_dump', ['-s', '--no-owner', '--no-acl', '-d', database]);
  return normalised(stdout);
}

/** Takes those lines away from the text of a dump. */
export function normalised(dump: string): string {
  return dump.replaceAll(/^(\\(un)?restrict [A-Za-z0-9]+|-- Dumped (from database|by pg_dump) version .*)\n/gm, '');
}
