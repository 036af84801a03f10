import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  createOddDatabase,
  createSampleDatabase,
  fingerprint,
  schemaText,
  startPostgres,
  type PostgresCluster,
} from '@strideiq/testkit';
import { AgentHost } from './agent-host.ts';
import { restoreByStockTools } from './dump-text.ts';

let cluster: PostgresCluster;
beforeAll(async () => {
  cluster = await startPostgres();
  await createSampleDatabase(cluster, 'running_app', { scaleMb: 40 });
  await createOddDatabase(cluster, 'odd');
});
afterAll(async () => {
  await cluster.stop();
});

describe.each(['running_app', 'odd'])('the backup of %s', (database) => {
  let host: AgentHost;
  const stock = `${database}_stock`;
  beforeAll(async () => {
    host = new AgentHost({ cluster, database });
    const { name } = await host.json<{ name: string }>('backup');
    await restoreByStockTools(cluster, host.path(name), stock);
  });
  afterAll(() => {
    host.remove();
  });

  it.each([1, 2, 4])('restores by %i sessions to what gunzip and psql make of it', async (jobs) => {
    const into = `${database}_${jobs}`;
    await host.json('restore', 'latest', '--into', into, '--jobs', String(jobs));
    expect(await schemaText(cluster, into)).toBe(await schemaText(cluster, stock));
    expect(await fingerprint(cluster, into)).toEqual(await fingerprint(cluster, stock));
    await cluster.dropDatabase(into);
  });
});
