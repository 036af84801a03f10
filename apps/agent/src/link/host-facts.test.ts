import { chmodSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseFacts } from '@strideiq/protocol';
import { startPostgres, waitFor, type PostgresCluster } from '@strideiq/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ScriptedControlPlane } from '../testing/scripted-control-plane.ts';
import { storeBackup } from '../testing/stored-backup.ts';
import { TestAgent } from '../testing/test-agent.ts';
import { HostFacts } from './host-facts.ts';

let cluster: PostgresCluster;
let agent: TestAgent;
beforeAll(async () => {
  cluster = await startPostgres();
  await cluster.createDatabase('app');
});
afterAll(async () => {
  await cluster.stop();
});
afterEach(async () => {
  await agent.remove();
});

const secret = 'hush-of-the-host';

/** A host with a program of its own. @param dump told the folder where it is, which no file can name before it is made */
function makeAgent(tool: { name: string; script: string }, dump: (tools: string) => object): void {
  const { host, port } = cluster;
  const app = { stores: ['local'], connection: { host, port, user: 'postgres', database: 'app', passwordFile: 'pw' } };
  agent = new TestAgent({ controlPlane: new ScriptedControlPlane(), databases: { app } });
  const tools = join(agent.directory, 'tools');
  mkdirSync(tools);
  writeFileSync(join(tools, tool.name), `#!/bin/sh\n${tool.script}\n`);
  chmodSync(join(tools, tool.name), 0o755);
  writeFileSync(join(agent.directory, 'pw'), secret, { mode: 0o600 });
  const databases = { app: { ...app, dump: dump(tools) } };
  const stores = { local: { type: 'directory', path: agent.backups } };
  const file = { version: 1, environment: 'test', stateDir: agent.stateDir, stores, databases };
  writeFileSync(agent.file, JSON.stringify(file));
}

async function look(): Promise<DatabaseFacts | undefined> {
  const host = await agent.open();
  try {
    return (await new HostFacts(host, Date.now).current()).databases[0];
  } finally {
    host.close();
  }
}

describe('a store that is known to hold copies', () => {
  /** What is told of the stores of a host that has backed up into them. */
  async function storesAfter(change: () => void, stores = ['local']) {
    const bucket = { type: 's3', bucket: 'away', region: 'us-east-1', endpoint: 'http://127.0.0.1:1' };
    const credentials = { accessKeyIdFile: 'key', secretAccessKeyFile: 'key' };
    const connection = { host: '127.0.0.1', port: 1, user: 'nobody' };
    agent = new TestAgent({
      controlPlane: new ScriptedControlPlane(),
      databases: { app: { connection, stores } },
      stores: { bucket: { ...bucket, credentials } },
    });
    writeFileSync(join(agent.directory, 'key'), 'known', { mode: 0o600 });
    const host = await agent.open();
    try {
      await storeBackup(host, { at: Date.now(), directories: [agent.backups] });
      change();
      const facts = new HostFacts(host, Date.now);
      const all = async () => (await facts.current()).stores;
      // A bucket that is away is tried for a while.
      return await waitFor(
        'all to be told of',
        async () => ((await all()).length === stores.length ? all() : undefined),
        {
          timeoutMs: 60_000,
        },
      );
    } finally {
      host.close();
    }
  }

  test('has room', async () => {
    expect(await storesAfter(() => undefined)).toMatchObject([{ freeBytes: expect.any(Number) as number }]);
  });

  test('is told to be away where its bucket does not answer', async () => {
    expect(await storesAfter(() => undefined, ['bucket'])).toMatchObject([
      { freeBytes: null, error: 'no answer for 20 s' },
    ]);
  });

  test.each([
    ['gone', () => rmSync(agent.backups, { recursive: true })],
    [
      'empty, as a mount point is without its disk',
      () => readdirSync(agent.backups).forEach((name) => rmSync(join(agent.backups, name))),
    ],
  ])('is told to be away once its directory is %s', async (_, change) => {
    const [local] = await storesAfter(change);
    expect(local).toMatchObject({ freeBytes: null, error: expect.stringContaining('is its disk mounted?') as string });
  });
});

test('a directory that was not used yet has the room that it will be made in', async () => {
  makeAgent({ name: 'pg_dump', script: 'exit 1' }, (tools) => ({ pgDump: tools }));
  rmSync(agent.backups, { recursive: true });
  const host = await agent.open();
  try {
    const { stores } = await new HostFacts(host, Date.now).current();
    expect(stores).toEqual([{ storeId: expect.any(String) as string, freeBytes: expect.any(Number) as number }]);
  } finally {
    host.close();
  }
});

test('a pg_dump that is too old is told, and which', async () => {
  makeAgent({ name: 'pg_dump', script: 'echo "pg_dump (PostgreSQL) 9.6.1"' }, (tools) => ({ pgDump: tools }));
  const facts = await look();
  expect(facts).toMatchObject({ reachable: true, serverVersion: expect.any(String) as string });
  expect(facts?.pgDumpVersion).toBeUndefined();
  expect(facts?.pgDumpProblem).toMatch(/newest pg_dump here is 9\.6\.1/);
});

test('what is told of a missing pg_dump holds no secret', async () => {
  const script = '[ "$1" = pg_dump ] && exit 0\nexec "$@"';
  makeAgent({ name: 'reach', script }, (tools) => ({ exec: ['env', `PGPASSWORD=${secret}`, join(tools, 'reach')] }));
  const facts = await look();
  expect(facts?.pgDumpProblem).toMatch(/pg_dump was found in none of: env PGPASSWORD=\*\*\*/);
  expect(JSON.stringify(facts)).not.toContain(secret);
});
