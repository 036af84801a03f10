import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fingerprint } from '../comparison/fingerprint.ts';
import { schemaText } from '../comparison/schema-text.ts';
import type { PostgresCluster } from '../postgres/cluster.ts';
import { startPostgres } from '../postgres/start.ts';
import { run } from '../processes/run.ts';
import { createOddDatabase } from './database.ts';

beforeAll(async () => {
  const script = join(import.meta.dirname, '../../../../tools/postgres-clients.mjs');
  await run(process.execPath, [script, '17', '18']);
});

/** Restored as anyone would: the roles, and then everything that pg_dump wrote, into psql, no error allowed. */
async function restore(from: PostgresCluster, to: PostgresCluster): Promise<void> {
  const dump = join(from.directory, 'dump.sql');
  await from.runClient('pg_dump', ['-d', 'odd', '-f', dump]);
  if (to !== from) await to.query('postgres', 'CREATE ROLE "odd ""role""; --\\"');
  await to.createDatabase('restored', { template: 'template0' });
  await to.psql('restored', { file: dump });
}

describe('createOddDatabase', () => {
  let cluster: PostgresCluster;
  let dump: string;
  beforeAll(async () => {
    cluster = await startPostgres();
    await createOddDatabase(cluster, 'odd');
    dump = (await cluster.runClient('pg_dump', ['-d', 'odd'])).stdout;
  });
  afterAll(async () => {
    await cluster.stop();
  });

  it('survives a plain pg_dump and psql', async () => {
    await restore(cluster, cluster);
    expect(await fingerprint(cluster, 'restored')).toEqual(await fingerprint(cluster, 'odd'));
    // A CHECK of varchar with IN prints differently after the first round trip, and is the same from then on.
    const steady = (text: string): string => text.replaceAll(/^.*CONSTRAINT \w*code_check CHECK .*$/gm, '');
    const restored = await schemaText(cluster, 'restored');
    const odd = await schemaText(cluster, 'odd');
    expect(restored).not.toBe(odd);
    expect(steady(restored)).toBe(steady(odd));
  });

  // What pg_dump writes is for servers of its own major: clients of 14 and 16 are in no Debian release that we use.
  it.each([
    [14, 15],
    [16, 17],
    [18, 18],
  ] as const)('goes from PostgreSQL %i to %i', async (from, to) => {
    const source = await startPostgres({ major: from });
    const target = to === from ? source : await startPostgres({ major: to });
    try {
      await createOddDatabase(source, 'odd');
      await restore(source, target);
      expect(await fingerprint(target, 'restored')).toEqual(await fingerprint(source, 'odd'));
    } finally {
      await Promise.all([source.stop(), target.stop()]);
    }
  });

  it.each([
    [
      'the end of a dump, before its end',
      /^-- PostgreSQL database dump complete$[^]*^-- PostgreSQL database dump complete$/m,
    ],
    ['COPY inside a body', /AS \$_?\$\nSELECT '\nCOPY odd\.every_type \(id\) FROM stdin;\n1\n\\\.\n/],
    ['the end of COPY inside a name', /^COPY "\n\\\.\n"\./m],
    ['dollar quotes inside dollar quotes', /AS \$_\$\nDECLARE\n.*\$inner\$ one \$\$ two/],
    ['CASE inside BEGIN ATOMIC', /BEGIN ATOMIC\n[^]*CASE "case"\n[^]*\nEND;/],
    ['COPY of no columns', /^COPY odd\.no_columns {2}FROM stdin;\n\n\n\\\.$/m],
    ['a table access method of its own', /^SET default_table_access_method = heap_too;$/m],
    ['a rule of several actions', /DO INSTEAD \( INSERT [^]*;\n/],
    [
      'rows of several partitions, each for the root by itself',
      /(?:^-- load via partition root odd\.tossed\n\nCOPY odd\.tossed \([^)]*\) FROM stdin;$[^]*?){4}/m,
    ],
    ['a password in a user mapping', /CREATE USER MAPPING [^]*password 'not-a-secret/],
    ['views that need one another', /CREATE OR REPLACE VIEW odd\.circle_a/],
  ])('holds %s', (_, pattern) => {
    // Not toMatch: the dump would fill the report.
    expect(pattern.test(dump)).toBe(true);
  });

  it.each([
    [
      'a table of 1590 columns with rows',
      "SELECT 1 FROM odd.very_wide, (SELECT count(*) FROM pg_attribute WHERE attrelid = 'odd.very_wide'::regclass AND attnum > 0) AS c (n) WHERE n = 1590",
    ],
    ['a row of 3 MB', 'SELECT 1 FROM odd.huge_row WHERE length(body) > 3000000'],
    ['a number of 2000 digits', 'SELECT 1 FROM odd.every_type WHERE length(a_numeric::text) > 2000'],
    ['rows three partitions deep', "SELECT 1 FROM odd.tree WHERE tableoid = 'odd.tree_hash_1'::regclass"],
    ['an empty table of no columns', "SELECT 1 FROM pg_class WHERE relname = 'no_columns_no_rows' AND relnatts = 0"],
    ['a name of 63 bytes', 'SELECT 1 FROM pg_namespace WHERE octet_length(nspname) = 63 AND length(nspname) < 63'],
    ['row security that names an odd role', `SELECT 1 FROM pg_policies WHERE 'odd "role"; --\\' = ANY (roles)`],
  ])('holds %s', async (_, sql) => {
    expect((await cluster.query('odd', sql)).length).toBeGreaterThan(0);
  });

  it('runs what it defines', async () => {
    const [row] = await cluster.query(
      'odd',
      `SELECT odd.old_strings() AS old, odd.atomic_case(2, 'END;') AS atomic, right(odd.nested_quotes(), 10) AS nested`,
    );
    expect(row).toEqual({ old: "it's \\ old; $$", atomic: null, nested: "t  $a2$ ' " });
  });
});
