import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSampleDatabase, fingerprint, schemaText, startPostgres, type PostgresCluster } from '@strideiq/testkit';
import { AgentHost, agentProgram, type AgentResult } from './agent-host.ts';

let cluster: PostgresCluster;
let host: AgentHost;
let dump: string;
beforeAll(async () => {
  cluster = await startPostgres();
  await createSampleDatabase(cluster, 'app', { scaleMb: 2 });
  host = new AgentHost({ cluster, database: 'app' });
  ({ stdout: dump } = await cluster.runClient('pg_dump', ['-d', 'app']));
});
afterAll(async () => {
  host.remove();
  await cluster.stop();
});

/** Runs a restore that is given the dump by standard input. */
async function restoreFromInput(input: string | Buffer): Promise<{ code: number | null; stderr: string }> {
  const options = ['--into', 'restored', '--trust-source', '--config', host.configurationFile];
  const child = spawn(process.execPath, [agentProgram, 'restore', '-', ...options], {
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  child.stdin.end(input);
  const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'exit') as Promise<[number | null]>]);
  return { code, stderr };
}

/** What was restored; it is dropped. */
async function restored(): Promise<Awaited<ReturnType<typeof fingerprint>>> {
  const found = await fingerprint(cluster, 'restored');
  await cluster.dropDatabase('restored');
  return found;
}

it('a plain .sql file is restored by its path', async () => {
  const file = join(host.directory, 'anyone.sql');
  writeFileSync(file, dump);
  await host.json('restore', file, '--into', 'restored', '--trust-source');
  expect(await restored()).toEqual(await fingerprint(cluster, 'app'));
});

it.each([
  ['plain', (sql: string) => sql],
  ['compressed', (sql: string) => gzipSync(sql)],
])('standard input is restored, %s, and nothing of it is kept', async (_, made) => {
  const { code, stderr } = await restoreFromInput(made(dump));
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
  expect(await restored()).toEqual(await fingerprint(cluster, 'app'));
  expect(readdirSync(host.stateDirectory).filter((name) => name.startsWith('standard-input'))).toEqual([]);
});

it('standard input that was cut runs nothing', async () => {
  const { code, stderr } = await restoreFromInput(dump.slice(0, -2000));
  expect([code, stderr]).toEqual([1, expect.stringContaining('not a whole dump')]);
  expect(await cluster.query('postgres', "SELECT FROM pg_database WHERE datname ~ 'restore'")).toEqual([]);
});

describe('of a dump without a manifest', () => {
  /** A part of `sql` by these options. */
  async function restorePart(sql: string, ...options: string[]): Promise<AgentResult> {
    writeFileSync(host.path('app_20250131_030000.sql.gz'), gzipSync(sql));
    return host.run('restore', 'app_20250131_030000', '--into', 'restored', '--trust-source', ...options);
  }

  const nothingLeft = async () =>
    expect(await cluster.query('postgres', "SELECT FROM pg_database WHERE datname ~ 'restore'")).toEqual([]);

  it('tables are restored with their indexes, keys and sequences, and no rows of others', async () => {
    const { code, stderr } = await restorePart(dump, '--table', 'app.activities', '--table', 'check_ins');
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
    expect(stderr).toMatch(/Foreign keys to tables that were not restored were left out/);
    const indexes = `
      SELECT indexrelid::regclass::text AS name, indisvalid AS valid FROM pg_index
       WHERE indrelid IN (SELECT 'app.activities'::regclass UNION ALL SELECT relid FROM pg_partition_tree('app.check_ins')) ORDER BY 1`;
    expect(await cluster.query('restored', indexes)).toEqual(await cluster.query('app', indexes));
    const [part, whole] = [await restored(), await fingerprint(cluster, 'app')];
    const isWanted = (name: string) => /^app\.(?:activities|check_ins(?:_.*)?)$/.test(name);
    const names = Object.keys(whole.tables).filter((name) => !name.startsWith('zones.'));
    for (const name of names.filter(isWanted)) expect([name, part.tables[name]]).toEqual([name, whole.tables[name]]);
    const others = names.filter((name) => !isWanted(name));
    expect(others.filter((name) => (part.tables[name]?.rows ?? 0) > 0)).toEqual([]);
    for (const name of ['app.activity_number', 'app.check_in_number']) {
      expect([name, part.sequences[name]]).toEqual([name, whole.sequences[name]]);
    }
    expect(part.sequences['app.athletes_id_seq']).not.toEqual(whole.sequences['app.athletes_id_seq']);
    expect(part.largeObjects).toEqual({});
  });

  it('rows alone are restored without indexes', async () => {
    expect((await restorePart(dump, '--table', 'app.teams', '--rows-only')).code).toBe(0);
    expect(await cluster.query('restored', "SELECT FROM pg_index WHERE indrelid = 'app.teams'::regclass")).toEqual([]);
    expect((await restored()).tables['app.teams']).toEqual((await fingerprint(cluster, 'app')).tables['app.teams']);
  });

  it('every definition is restored without a row', async () => {
    expect((await restorePart(dump, '--schema-only')).code).toBe(0);
    expect(await schemaText(cluster, 'restored')).toBe(await schemaText(cluster, 'app'));
    const { tables, largeObjects } = await restored();
    const filled = Object.entries(tables).filter(([name, { rows }]) => rows > 0 && !name.startsWith('zones.'));
    expect([filled, largeObjects]).toEqual([[], {}]);
  });

  it('a sequence goes on where it was told to, also where nobody has drawn from it since', async () => {
    const odd = dump.replace(/(setval\('app\.activity_number', )\d+, true/, '$1500, false');
    expect((await restorePart(odd, '--table', 'app.activities')).code).toBe(0);
    const sql = 'SELECT last_value::int AS value, is_called AS called FROM app.activity_number';
    expect(await cluster.query('restored', sql)).toEqual([{ value: 500, called: false }]);
    await cluster.dropDatabase('restored');
  });

  it('rows that the dump has of a table of an extension are restored', async () => {
    expect((await restorePart(dump, '--table', 'zones.zone_defaults')).code).toBe(0);
    expect((await restored()).tables['zones.zone_defaults']).toEqual(
      (await fingerprint(cluster, 'app')).tables['zones.zone_defaults'],
    );
  });

  it('a table whose rows are not in the dump is told to be empty', async () => {
    const options = ['--exclude-table-data', 'app.teams', '-d', 'app'];
    const { stdout: without } = await cluster.runClient('pg_dump', options);
    const { code, stderr } = await restorePart(without, '--table', 'app.teams');
    expect([code, stderr]).toEqual([0, expect.stringContaining('no rows of app.teams')]);
    await cluster.dropDatabase('restored');
  });

  it('grants and statistics that stand among the rows are no hindrance', async () => {
    await cluster.createDatabase('keyless');
    await cluster.query('keyless', 'CREATE TABLE t AS SELECT 1 AS id; GRANT SELECT ON t TO strideiq_app');
    const { stdout } = await cluster.runClient('pg_dump', ['-d', 'keyless']);
    const statistics = `--\n-- Statistics for Name: t; Type: STATISTICS DATA; Schema: public; Owner: -\n--\n\nSELECT * FROM pg_catalog.pg_restore_relation_stats('relation', 'public.t'::regclass);\n`;
    const keyless = stdout.replace(
      '--\n-- Name: TABLE t; Type: ACL',
      `${statistics}\n\nSET client_encoding = 'UTF8';\n\n$&`,
    );
    expect(keyless).toContain('STATISTICS DATA');
    const part = await restorePart(keyless, '--table', 't');
    expect([part.code, part.stderr]).toEqual([0, expect.stringContaining('grants of the dump were left out')]);
    expect(await cluster.query('restored', 'SELECT id FROM t')).toEqual([{ id: 1 }]);
    await cluster.dropDatabase('restored');
    expect((await restorePart(keyless, '--schema-only')).code).toBe(0);
    const granted =
      "SELECT has_table_privilege('strideiq_app', 't', 'SELECT') AS granted, count(*)::int AS rows FROM t";
    expect(await cluster.query('restored', granted)).toEqual([{ granted: true, rows: 0 }]);
    await cluster.dropDatabase('restored');
  });

  it('a table that is not in it is told, with what it may have been', async () => {
    const { code, stderr } = await restorePart(dump, '--table', 'app.activites');
    expect([code, stderr]).toEqual([3, expect.stringMatching(/no table "app\.activites"\. Is it "app\.activities"/)]);
    await nothingLeft();
  });

  it('a partition whose rows stand among those of its root is told to be had with that alone', async () => {
    const options = ['--load-via-partition-root', '-d', 'app'];
    const { stdout: throughRoot } = await cluster.runClient('pg_dump', options);
    const { code, stderr } = await restorePart(throughRoot, '--table', 'app.check_ins_2024_1');
    expect([code, stderr]).toEqual([3, expect.stringContaining('Restore app.check_ins as a whole')]);
    await nothingLeft();
  });

  it.each([
    ['rows as INSERTs', async () => (await cluster.runClient('pg_dump', ['--inserts', '-d', 'app'])).stdout],
    [
      'rows behind post-data',
      async () =>
        dump.replace(
          /-- Name: \S+ \S+; Type: TRIGGER/,
          `-- Name: t; Type: TABLE DATA; Schema: app; Owner: -\n--\n\nINSERT INTO app.activities SELECT;\n\n--\n$&`,
        ),
    ],
    ['a transaction around it', async () => dump.replace('SET statement_timeout', 'BEGIN;\n$&')],
    ['a definition among the rows', async () => dump.replace('\\.\n', '$&\nCREATE TABLE app.late (id int);\n')],
    [
      'a post-data that goes on as no pg_dump does',
      async () => dump.replace('CREATE TRIGGER', 'SET ROLE postgres;\n$&'),
    ],
  ])('where a part cannot be told from the rest it is refused: %s', async (_, made) => {
    const { code, stderr } = await restorePart(await made(), '--table', 'app.activities');
    expect([code, stderr]).toEqual([1, expect.stringContaining('no part of it can be restored alone')]);
    await nothingLeft();
  });
});

it('a dump that leaves its session as no pg_dump does is run by that session alone, to its end', async () => {
  const odd = dump.replace(
    '-- PostgreSQL database dump complete',
    `-- Name: last; Type: INDEX; Schema: app; Owner: -\n--\n\nCREATE TEMPORARY TABLE seen AS SELECT count(*) AS rows FROM app.athletes;\n
     CREATE TABLE app.counted AS SELECT rows FROM seen;\nSET search_path TO app;\nCREATE INDEX last ON counted (rows);\n
--\n-- PostgreSQL database dump complete`,
  );
  writeFileSync(host.path('app_20250131_030000.sql.gz'), gzipSync(odd));
  await host.json('restore', 'app_20250131_030000', '--into', 'restored', '--trust-source');
  const [counted] = await cluster.query('restored', 'SELECT rows > 0 AS some FROM app.counted');
  const [index] = await cluster.query('restored', "SELECT to_regclass('app.last') IS NOT NULL AS made");
  expect([counted, index]).toEqual([{ some: true }, { made: true }]);
  await cluster.dropDatabase('restored');
});
