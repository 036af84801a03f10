import { join } from 'node:path';
import type { PostgresCluster } from '../postgres/cluster.ts';
import { quoteIdent } from '../postgres/identifiers.ts';
import { runScript } from '../postgres/script.ts';

const scripts = ['1-names.sql', '2-types.sql', '3-routines.sql', '4-relations.sql'];
const directory = join(import.meta.dirname, '../../odd');

/**
 * Creates a database as odd as PostgreSQL allows, about 12 MB of SQL: names, types, rows, routines and relations that a
 * program which reads dumps may trip over, all of which a plain pg_dump and psql carry over. See `odd/`.
 * Makes a role, `odd "role"; --\`, where the cluster lacks it.
 */
export async function createOddDatabase(cluster: PostgresCluster, name: string): Promise<void> {
  await cluster.createDatabase(name, { template: 'template0' });
  const client = await cluster.connect(name);
  try {
    await client.query('BEGIN');
    for (const script of scripts) await runScript(client, join(directory, script));
    await client.query('COMMIT');
    await client.query(`ALTER DATABASE ${quoteIdent(name)} SET "odd.setting" TO 'it''s; \\'`);
    await client.query(`COMMENT ON DATABASE ${quoteIdent(name)} IS E'odd;\\n\\\\.\\n'`);
  } finally {
    await client.end();
  }
}
