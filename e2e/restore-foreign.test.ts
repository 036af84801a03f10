import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createSampleDatabase, fingerprint, startPostgres, type PostgresCluster } from '@strideiq/testkit';
import { AgentHost, agentProgram } from './agent-host.ts';

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

it('of a dump without a manifest no part is restored alone', async () => {
  writeFileSync(host.path('app_20250131_030000.sql.gz'), gzipSync(dump));
  const options = ['--into', 'restored', '--table', 'app.teams', '--trust-source'];
  const { code, stderr } = await host.run('restore', 'app_20250131_030000', ...options);
  expect([code, stderr]).toEqual([2, expect.stringContaining('no manifest')]);
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
