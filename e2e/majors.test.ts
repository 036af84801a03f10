import { afterAll, describe, expect, it } from 'vitest';
import { createSampleDatabase, fingerprint, startPostgres, type Major, type PostgresCluster } from '@strideiq/testkit';
import { AgentHost } from './agent-host.ts';
import { restoreByStockTools } from './dump-text.ts';

/** A server of each major, started when it is first asked for. */
const clusters = new Map<Major, Promise<PostgresCluster>>();
async function clusterOf(major: Major): Promise<PostgresCluster> {
  const started = clusters.get(major) ?? startPostgres({ major });
  clusters.set(major, started);
  return started;
}
afterAll(async () => {
  await Promise.all([...clusters.values()].map(async (cluster) => (await cluster).stop()));
});

/** Roles of a cluster, as RECOVER.txt has them made first. */
async function copyRoles(from: PostgresCluster, to: PostgresCluster): Promise<void> {
  const { stdout } = await from.runClient('pg_dumpall', ['--roles-only', '--no-role-passwords']);
  await to.psql('postgres', { sql: stdout, args: ['-v', 'ON_ERROR_STOP=0'] });
}

describe.each<[Major, Major]>([
  [14, 15],
  [15, 16],
  [16, 17],
  [17, 18],
  [18, 18],
])('PostgreSQL %i to %i', (from, to) => {
  it('a backup restores there by the agent and by stock tools, with every row', async () => {
    const [source, target] = [await clusterOf(from), await clusterOf(to)];
    const database = `app_${from}`;
    await createSampleDatabase(source, database, { scaleMb: 1 });
    await copyRoles(source, target);
    // Every table by lanes.
    const host = new AgentHost({ cluster: source, database, dump: { jobs: 2, largeTable: '0B' } });
    const receiver = new AgentHost({ cluster: target, database });
    try {
      const { name } = await host.json<{ name: string }>('backup', '--verify');
      const expected = await fingerprint(source, database);
      // Another host does not know the key that signed it.
      const { tables } = await receiver.json<{ tables: object[] }>(
        'restore',
        host.path(name),
        '--into',
        `${database}_agent`,
        '--trust-source',
      );
      expect(tables.length).toBeGreaterThan(5);
      expect(await fingerprint(target, `${database}_agent`)).toEqual(expected);
      await restoreByStockTools(target, host.path(name), `${database}_stock`);
      expect(await fingerprint(target, `${database}_stock`)).toEqual(expected);
    } finally {
      host.remove();
      receiver.remove();
    }
  });
});
