import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { backupNames } from '@strideiq/core';
import { startPostgres, type PostgresCluster } from '@strideiq/testkit';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { AgentHost } from './agent-host.ts';

/** Retention on a host by itself: what goes, what stays, and why. */

let cluster: PostgresCluster;
let host: AgentHost;
beforeAll(async () => {
  cluster = await startPostgres();
  await cluster.createDatabase('app');
}, 120_000);
afterAll(async () => {
  await cluster?.stop();
});
afterEach(() => host.remove());

/** Copies of a backup under names of earlier nights. */
function earlier(days: number): void {
  const made = readdirSync(host.backupDirectory).filter((name) => /^app_\d+_\d+\./.test(name));
  for (let back = 1; back <= days; back++) {
    // An hour older than so many days, whatever the time of day.
    const { stem: other } = backupNames('app', new Date(Date.now() - back * 86_400_000 - 3_600_000));
    for (const name of made) {
      const [stem = ''] = /^app_\d+_\d+/.exec(name) ?? [];
      const [from, to] = [join(host.backupDirectory, name), join(host.backupDirectory, name.replace(stem, other))];
      // A manifest names its dump, and is taken for nothing beside another one.
      if (name.endsWith('.json')) writeFileSync(to, readFileSync(from, 'utf8').replaceAll(stem, other));
      else copyFileSync(from, to);
    }
  }
}
const dumps = () => readdirSync(host.backupDirectory).filter((name) => /^app_\d+_\d+\.sql\.gz$/.test(name));

interface Plans {
  stores: { keep: { backupId: string; reasons: string[] }[]; remove: { backupId: string; reason: string }[] }[];
}

test('what would go is shown with its reason, and then goes', async () => {
  host = new AgentHost({ cluster, database: 'app' });
  await host.json('backup');
  earlier(9);
  const { stdout } = await host.run('prune', '--dry-run');
  expect(stdout).toMatch(
    /local \(.*\): 7 would stay, 3 would go\n +keep +app_.* it is among the newest good; it is younger than 7 days\n/,
  );
  const { stores } = await host.json<Plans>('prune', '--dry-run');
  expect(dumps()).toHaveLength(10);
  const going = stores[0]?.remove.map(({ backupId }) => `${backupId}.sql.gz`) ?? [];
  expect((await host.run('prune')).code).toBe(0);
  expect(dumps()).toHaveLength(7);
  expect(dumps()).not.toEqual(expect.arrayContaining(going));
  expect(await host.json('verify', 'LATEST.sql.gz')).toBeDefined();
  expect((await host.run('prune')).stdout).toMatch(/nothing to remove/);
});

test('much at once is not removed by anybody who was not asked', async () => {
  host = new AgentHost({ cluster, database: 'app', more: { retention: { local: { count: 2 } } } });
  await host.json('backup');
  earlier(9);
  const { code, stderr } = await host.run('prune');
  expect([code, stderr]).toEqual([
    2,
    expect.stringMatching(/remove 8 of the 10 copies of app in local at once[^]*there is no terminal/),
  ]);
  expect(dumps()).toHaveLength(10);
  await host.json('prune', '--yes');
  expect(dumps()).toHaveLength(2);
});

test('as the old script did it: a backup, and what is older than some days goes', async () => {
  host = new AgentHost({ cluster, database: 'app' });
  await host.json('backup');
  earlier(6);
  const { stderr } = await host.run('backup', '--retention', '5');
  expect(stderr).toMatch(/Removed from local: app_\d+_\d+\n/);
  expect(dumps()).toHaveLength(6);
  const { code } = await host.run('backup', '--retention', 'week');
  expect(code).toBe(2);
});
