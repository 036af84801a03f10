import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import {
  createSampleDatabase,
  fingerprint,
  run,
  schemaText,
  startPostgres,
  type PostgresCluster,
} from '@strideiq/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { gunzip } from './gunzip.ts';
import { readChunks } from './read-chunks.ts';
import { setsPrivileges } from './privilege-statements.ts';
import { readDump } from './read-dump.ts';
import { isServerLevel } from './server-level.ts';
import { oddDatabase } from './testing/odd-database.ts';
import { piecesOf } from './testing/pieces.ts';
import { rangesOf, type WrittenDump } from './testing/written-dump.ts';
import { verifyDump } from './verify-dump.ts';
import { writeDump, type WriteDumpOptions } from './write-dump.ts';

/** The oldest that a host runs besides the newest, whose pg_dump writes a few things differently. */
const clusters = new Map<number, PostgresCluster>();
const databases = [15, 18].flatMap((major) => ['sample', 'odd'].map((database) => ({ major, database })));

beforeAll(async () => {
  for (const major of [15, 18] as const) {
    const cluster = await startPostgres({ major });
    clusters.set(major, cluster);
    await createSampleDatabase(cluster, 'sample', { scaleMb: 4 });
    await cluster.createDatabase('odd');
    await cluster.psql('odd', { sql: oddDatabase });
  }
});

afterAll(async () => {
  await Promise.all([...clusters.values()].map((cluster) => cluster.stop()));
});

function clusterOf(major: number): PostgresCluster {
  const cluster = clusters.get(major);
  if (!cluster) throw new Error(`no PostgreSQL ${major} was started`);
  return cluster;
}

/** pg_dump's own bytes, as they come out of its pipe. */
async function dumped(
  cluster: PostgresCluster,
  database: string,
  options: WriteDumpOptions,
  args: string[] = [],
  without = ['--no-owner'],
): Promise<WrittenDump> {
  const child = spawn(join(cluster.clientDir, 'pg_dump'), [...without, '-d', database, ...args], {
    env: cluster.clientEnv,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  const parts: Buffer[] = [];
  const result = await writeDump(child.stdout, async (bytes) => void parts.push(Buffer.from(bytes)), options);
  expect(await closed).toEqual([0, null]);
  return { object: Buffer.concat(parts), result };
}

async function countsOf(cluster: PostgresCluster, database: string): Promise<unknown[]> {
  const tables = await cluster.query<{ schema: string; name: string; q: string; condition: string | null }>(
    database,
    `SELECT n.nspname AS schema, c.relname AS name, format('%I.%I', n.nspname, c.relname) AS q,
       e.extcondition[array_position(e.extconfig, c.oid)] AS condition
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_depend d
       ON d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'e'
     LEFT JOIN pg_extension e ON e.oid = d.refobjid
     WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
       AND (e.oid IS NULL OR c.oid = ANY (e.extconfig))`,
  );
  const counts = [];
  for (const { schema, name, q, condition } of tables) {
    const [found] = await cluster.query<{ rows: string }>(
      database,
      `SELECT count(*) AS rows FROM ONLY ${q} ${condition ?? ''}`,
    );
    counts.push({ schema, name, rows: Number(found?.rows) });
  }
  return counts;
}

describe.each(databases)('pg_dump $major of the $database database', ({ major, database }) => {
  let cluster: PostgresCluster;
  beforeAll(() => {
    cluster = clusterOf(major);
  });

  test('is written with exactly the rows that the tables hold', async () => {
    const { object, result } = await dumped(cluster, database, { level: 4, chunkBytes: 300_000, blockBytes: 50_000 });
    const counts = await countsOf(cluster, database);
    expect(result.tables).toHaveLength(counts.length);
    expect(result.tables).toEqual(expect.arrayContaining(counts));
    expect(result.dumpedFrom).toMatch(/^\d+/);
    expect(await verifyDump(piecesOf(object), result)).toMatchObject({ problems: [], tables: result.tables });
    const sequences = await cluster.query(
      database,
      `SELECT schemaname AS schema, sequencename AS name, coalesce(last_value, start_value)::text AS "lastValue", last_value IS NOT NULL AS "isCalled" FROM pg_sequences`,
    );
    expect(result.sequences).toHaveLength(sequences.length);
    expect(result.sequences).toEqual(expect.arrayContaining(sequences));
  });

  test('without its owners and grants is what pg_dump writes without them, and those are what it writes more', async () => {
    const lines = (sql: Buffer | string) =>
      sql
        .toString()
        .replaceAll(/; Owner: .*$/gm, '; Owner: -')
        .replaceAll(/^\\(?:un)?restrict .*$/gm, '');
    const setAside: string[] = [];
    const takePrivileges = (sql: Buffer) => void setAside.push(sql.toString());
    const { object, result } = await dumped(cluster, database, { level: 1, blockBytes: 1000, takePrivileges }, [], []);
    const { stdout } = await cluster.runClient('pg_dump', ['--no-owner', '--no-acl', '-d', database]);
    expect(lines(gunzipSync(object))).toBe(lines(stdout));
    expect(await verifyDump(piecesOf(object), result)).toMatchObject({ problems: [] });
    const found: string[] = [];
    const whole = await cluster.runClient('pg_dump', ['-d', database]);
    for await (const piece of readDump(piecesOf(Buffer.from(whole.stdout)))) {
      if (piece.kind === 'statement' && setsPrivileges(piece.sql)) found.push(piece.sql.toString().trim());
    }
    expect(setAside).toEqual(found);
    expect(setAside.length).toBeGreaterThan(20);
  });

  test('is restored by gunzip and psql to the same database', async () => {
    const { object } = await dumped(cluster, database, { level: 1, chunkBytes: 100_000 });
    const target = `${database}_psql`;
    await cluster.createDatabase(target, { template: 'template0' });
    const { stdout } = await run('gunzip', ['-c'], { input: [object] });
    await cluster.psql(target, { sql: stdout });
    expect(await fingerprint(cluster, target)).toEqual(await fingerprint(cluster, database));
    expect(await schemaText(cluster, target)).toEqual(await schemaText(cluster, database));
    await cluster.dropDatabase(target);
  });

  test('is restored by statements read chunk by chunk, the rows in any order', async () => {
    const { object, result } = await dumped(cluster, database, { level: 1, chunkBytes: 60_000 });
    const target = `${database}_pieces`;
    await cluster.createDatabase(target, { template: 'template0' });
    const data = result.chunks.filter(({ section }) => section === 'data');
    const holdsRows = ({ rows = [] }: (typeof data)[number]) => rows.length > 0;
    expect(data.filter(holdsRows).length).toBeGreaterThan(2);
    const order = [
      ...result.chunks.filter(({ section }) => section === 'pre-data'),
      ...data.filter(holdsRows).toReversed(),
      // Large objects are made before they are filled.
      ...data.filter((chunk) => !holdsRows(chunk)),
      ...result.chunks.filter(({ section }) => section === 'post-data'),
    ];
    const sql: Buffer[] = [];
    for await (const piece of readChunks(order, rangesOf(object))) {
      if (piece.kind === 'statement') sql.push(piece.sql, Buffer.from('\n'));
      else {
        sql.push(piece.header);
        for await (const rows of piece.rows) sql.push(Buffer.from(rows));
        sql.push(Buffer.from('\\.\n'));
      }
    }
    await cluster.psql(target, { sql: Buffer.concat(sql).toString() });
    expect(await fingerprint(cluster, target)).toEqual(await fingerprint(cluster, database));
    await cluster.dropDatabase(target);
  });

  test("has each item in the section in which pg_restore's own list has it", async () => {
    const file = join(cluster.directory, `${database}.archive`);
    await cluster.runClient('pg_dump', ['--no-owner', '--no-acl', '-Fc', '-d', database, '-f', file]);
    const types = new Map<string, Set<string>>();
    for (const section of ['pre-data', 'data', 'post-data']) {
      const { stdout } = await cluster.runClient('pg_restore', [
        '--section',
        section,
        '--no-owner',
        '--no-acl',
        '-f',
        '-',
        file,
      ]);
      const found = [...stdout.matchAll(/^-- (?:Data for )?Name: .*; Type: ([A-Z ]+); Schema: /gm)];
      types.set(section, new Set(found.map(([, type = '']) => type)));
    }
    // Privileges come in a pass of their own at the end, whatever they are for.
    const { object } = await dumped(cluster, database, { level: 1 }, ['--no-acl']);
    const misplaced: string[] = [];
    for await (const { toc, section, ...piece } of readDump(gunzip(piecesOf(object)))) {
      // A SET stands before the comment of its item; comments follow what they are for.
      const isSet = piece.kind === 'statement' && piece.sql.toString().startsWith('SET ');
      const places = [...types].filter(([, found]) => toc && found.has(toc.type)).map(([place]) => place);
      if (toc && !isSet && places.length > 0 && !places.includes(section)) misplaced.push(`${toc.type} in ${section}`);
    }
    expect(misplaced).toEqual([]);
    expect(types.get('post-data')?.size).toBeGreaterThan(5);
  });

  test('is verified without a manifest, made with --create too', async () => {
    for (const args of [[], ['--create']]) {
      const { stdout } = await cluster.runClient('pg_dump', [...args, '--no-owner', '-d', database]);
      const { problems, tables } = await verifyDump(piecesOf(gzipSync(stdout)));
      expect(problems).toEqual([]);
      expect(tables).toEqual(expect.arrayContaining(await countsOf(cluster, database)));
    }
  });

  test('has no statement of the server but those of --create and pg_dumpall', async () => {
    const found = async (
      tool: 'pg_dump' | 'pg_dumpall',
      args: string[],
    ): Promise<{ server: string[]; others: string[] }> => {
      const { stdout } = await cluster.runClient(tool, args);
      const [server, others]: [string[], string[]] = [[], []];
      const options = { connectAllowed: true, closingLine: false };
      for await (const piece of readDump(piecesOf(Buffer.from(stdout)), options)) {
        if (piece.kind === 'statement') (isServerLevel(piece.sql) ? server : others).push(piece.sql.toString());
      }
      return { server, others };
    };
    const plain = await found('pg_dump', ['-d', database]);
    expect(plain.server).toEqual([]);
    const created = await found('pg_dump', ['--create', '-d', database]);
    expect(created.server.map((sql) => sql.split(' ', 2).join(' '))).toEqual(['CREATE DATABASE', 'ALTER DATABASE']);
    // The session's settings stand in it twice.
    expect(new Set(created.others)).toEqual(new Set(plain.others));
    const roles = await found('pg_dumpall', ['--globals-only']);
    expect(roles.server.length).toBeGreaterThan(1);
    expect(roles.others.filter((sql) => !sql.startsWith('SET '))).toEqual([]);
  });

  test('is read as INSERTs too', async () => {
    const { object, result } = await dumped(cluster, database, { level: 1, chunkBytes: 100_000 }, ['--inserts']);
    expect(result.tables).toEqual([]);
    const target = `${database}_inserts`;
    await cluster.createDatabase(target, { template: 'template0' });
    const sql: Buffer[] = [];
    for await (const piece of readChunks(result.chunks, rangesOf(object))) {
      expect(piece.kind).toBe('statement');
      if (piece.kind === 'statement') sql.push(piece.sql, Buffer.from('\n'));
    }
    await cluster.psql(target, { sql: Buffer.concat(sql).toString() });
    expect(await fingerprint(cluster, target)).toEqual(await fingerprint(cluster, database));
    await cluster.dropDatabase(target);
  });
});
