import { existsSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { run } from '../processes/run.ts';
import { majors } from './installation.ts';
import type { PostgresCluster } from './cluster.ts';
import type { PostgresOptions } from './data-directory.ts';
import { startPostgres } from './start.ts';

let clusters: PostgresCluster[] = [];
const start = async (options?: PostgresOptions): Promise<PostgresCluster> => {
  const cluster = await startPostgres(options);
  clusters.push(cluster);
  return cluster;
};
afterEach(async () => {
  await Promise.all(clusters.map((cluster) => cluster.stop()));
  clusters = [];
});

describe('startPostgres', () => {
  it.each(majors)('runs PostgreSQL %i as an unprivileged user, with our extension', async (major) => {
    const cluster = await start({ major });
    const [row] = await cluster.query('postgres', "SELECT current_setting('server_version_num')::int / 10000 AS major");
    expect(row).toEqual({ major });
    expect((await run('ps', ['-o', 'user=', '-p', String(cluster.pid)])).stdout).not.toContain('root');
    await cluster.query('postgres', 'CREATE EXTENSION training_zones');
    const [zone] = await cluster.query('postgres', 'SELECT zones.zone_of(150, 200) AS zone');
    expect(zone).toEqual({ zone: 'steady' });
  });

  it('starts several at once, each its own', async () => {
    const [one, two] = await Promise.all([start(), start({ settings: { work_mem: '7MB' } })]);
    expect(one.port).not.toBe(two.port);
    expect(await one.query('postgres', 'SHOW work_mem')).toEqual([{ work_mem: '4MB' }]);
    expect(await two.query('postgres', 'SHOW work_mem')).toEqual([{ work_mem: '7MB' }]);
  });

  it('asks for the password where scram is wanted', async () => {
    const cluster = await start({ authentication: 'scram', superPassword: "it's p@ss/word" });
    expect(await cluster.query('postgres', 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect((await cluster.psql('postgres', { sql: 'SELECT 2', args: ['-At'] })).stdout).toBe('2\n');
    const wrong = new URL(cluster.url('postgres'));
    wrong.password = 'wrong';
    await expect(cluster.psql(wrong.href, { sql: 'SELECT 1' })).rejects.toThrow(/password authentication failed/);
    expect((await cluster.psql(cluster.url('postgres'), { sql: 'SELECT 3', args: ['-At'] })).stdout).toBe('3\n');
  });

  it('makes and drops databases with sessions in them, and stops psql at the first error', async () => {
    const cluster = await start();
    await expect(cluster.psql('postgres', { sql: 'SELECT nonsense; SELECT 1;' })).rejects.toThrow(
      /"nonsense" does not exist/,
    );
    const name = 'Odd "name"; --';
    await cluster.createDatabase(name, { template: 'template0', encoding: 'LATIN1', locale: 'C' });
    const client = await cluster.connect(name);
    const [row] = await cluster.query(name, 'SHOW server_encoding');
    expect(row).toEqual({ server_encoding: 'LATIN1' });
    await cluster.dropDatabase(name);
    await expect(cluster.query(name, 'SELECT 1')).rejects.toThrow(/does not exist/);
    await client.end();
  });

  it('loses no committed row to a kill once it starts again with safe settings', async () => {
    const cluster = await start({ settings: { fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on' } });
    await cluster.query('postgres', 'CREATE TABLE kept AS SELECT 42 AS answer');
    await cluster.kill();
    // Reset where a child of the killed server still held the port.
    await expect(cluster.query('postgres', 'SELECT 1')).rejects.toThrow(/ECONNREFUSED|ECONNRESET/);
    await cluster.start();
    expect(await cluster.query('postgres', 'TABLE kept')).toEqual([{ answer: 42 }]);
    expect(await cluster.logText()).toContain('automatic recovery in progress');
  });

  it('leaves nothing after stop', async () => {
    const cluster = await start();
    const { directory, pid } = cluster;
    expect(existsSync(directory)).toBe(true);
    await cluster.stop();
    await cluster.stop();
    expect(existsSync(directory)).toBe(false);
    expect(() => process.kill(pid ?? 0, 0)).toThrow(/ESRCH/);
  });

  it('says what initdb and the server said, and leaves nothing, where they fail', async () => {
    await expect(start({ initdbArgs: ['--nonsense'] })).rejects.toThrow(/nonsense/);
    await expect(start({ settings: { shared_buffers: 'much' } })).rejects.toThrow(/shared_buffers/);
  });
});
