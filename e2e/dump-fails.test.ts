import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { S3Client } from '@aws-sdk/client-s3';
import { createSampleDatabase, run, startPostgres, startS3, startTcpProxy } from '@strideiq/testkit';
import type { PostgresCluster, S3Server, TcpProxy } from '@strideiq/testkit';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { AgentHost, agentProgram, during, type AgentResult } from './agent-host.ts';
import { childrenOf, dumpUnderWay, signal } from './processes.ts';
import { expectNothingLeft, expectOnlyWhole, journalOf, rawBucket, rawDirectory, type RawStore } from './raw-state.ts';

/** A dump that does not come to its end: no object, nothing left at once, and an error that says why. */

let cluster: PostgresCluster;
let s3: S3Server;
let client: S3Client;
/** In front of PostgreSQL; makes the dump slow enough to be seen in the middle. */
let server: TcpProxy;
let host: AgentHost;
let stores: RawStore[];
let before: Map<string, string>[];

const slowly = { toClient: { bytesPerSecond: 12_000_000 } };
const middle = 6_000_000;

beforeAll(async () => {
  [cluster, s3] = await Promise.all([startPostgres(), startS3()]);
  await Promise.all([createSampleDatabase(cluster, 'app', { scaleMb: 32 }), s3.createBucket('fails')]);
  server = await startTcpProxy({ to: { host: cluster.host, port: cluster.port } });
  await server.set(slowly);
  client = s3.client();
  host = newHost({ hangLimit: '2s' });
  stores = [rawDirectory(host.backupDirectory), rawBucket(client, 'fails')];
  // Claims the prefixes.
  await host.json('backup');
}, 240_000);

afterAll(async () => {
  client?.destroy();
  host?.remove();
  await server?.stop();
  await Promise.all([cluster?.stop(), s3?.stop()]);
});

beforeEach(async () => {
  before = await Promise.all(stores.map(async (store) => store.names()));
});

function newHost(dump: Record<string, unknown>): AgentHost {
  return new AgentHost({
    cluster,
    database: 'app',
    connection: { port: server.port },
    s3: { server: s3, endpoint: s3.endpoint, bucket: 'fails' },
    dump,
  });
}

/** Nothing new anywhere, nothing left, and the last run in the journal ended like this. */
async function expectNothingKept(result: AgentResult, state: 'failed' | 'cancelled', on = host): Promise<void> {
  expect(await Promise.all(stores.map(async (store) => store.names()))).toEqual(before);
  await expectNothingLeft(cluster, stores);
  const last = journalOf(on).at(-1);
  expect(last).toMatchObject({ kind: 'backup', state });
  // One paragraph, and the journal knows it word by word.
  expect(result.stderr).toContain(`error: ${last?.error}\n`);
  expect(last?.error).not.toContain('\n\n');
}

describe('pg_dump', () => {
  test('killed in the middle: the signal is named', async () => {
    const agent = host.start('backup');
    signal(await dumpUnderWay(agent.process, middle), 'SIGKILL');
    const result = await agent.result;
    expect(result).toMatchObject({ code: 1, stderr: expect.stringContaining('was killed by SIGKILL') as string });
    await expectNothingKept(result, 'failed');
  });

  test('stopped in the middle: it is ended after the hang limit', async () => {
    const agent = host.start('backup');
    const dump = await dumpUnderWay(agent.process, middle);
    signal(dump, 'SIGSTOP');
    const result = await agent.result;
    expect(result).toMatchObject({ code: 1, stderr: expect.stringMatching(/written nothing for \d+ s/) as string });
    expect(() => process.kill(dump, 0)).toThrow('ESRCH');
    await expectNothingKept(result, 'failed');
  });

  test('whose connection is cut in the middle: its own words are told', async () => {
    const agent = host.start('backup');
    await dumpUnderWay(agent.process, middle);
    server.cut();
    const result = await agent.result;
    expect(result).toMatchObject({ code: 1 });
    await expectNothingKept(result, 'failed');
  });

  test.each([
    {
      what: 'that exits 0 without its closing line',
      script: '"$real" "$@" | head -c 3000000; exit 0',
      says: 'It is not whole',
    },
    {
      what: 'that says why and exits 1 in the middle',
      script: '"$real" "$@" | head -c 3000000; echo "pg_dump: error: the disk is on fire" >&2; exit 1',
      says: 'the disk is on fire',
    },
    { what: 'that writes nothing and exits 0', script: 'exit 0', says: 'It is not whole' },
  ])('$what', async ({ script, says }) => {
    const wrapped = newHost({ pgDump: wrapper(script) });
    try {
      const result = await wrapped.run('backup', '--store', 's3');
      expect(result).toMatchObject({ code: 1, stderr: expect.stringContaining(says) as string });
      await expectNothingKept(result, 'failed', wrapped);
    } finally {
      wrapped.remove();
    }
  });

  /** A folder with a pg_dump that runs `script` in place of the dump itself. */
  function wrapper(script: string): string {
    const folder = join(host.directory, `tools-${crypto.randomUUID()}`);
    mkdirSync(folder);
    const own = `case "$*" in *--snapshot*) ;; *) exec "$real" "$@" ;; esac`;
    const real = join(cluster.clientDir, 'pg_dump');
    writeFileSync(join(folder, 'pg_dump'), `#!/bin/sh\nreal='${real}'\n${own}\n${script}\n`);
    chmodSync(join(folder, 'pg_dump'), 0o755);
    symlinkSync(join(cluster.clientDir, 'pg_dumpall'), join(folder, 'pg_dumpall'));
    return folder;
  }
});

describe('the server', () => {
  test('ends the session that holds the snapshot', async () => {
    const agent = host.start('backup');
    await dumpUnderWay(agent.process, middle);
    const end = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'strideiq-backup-%-leader'`;
    expect(await cluster.query('postgres', end)).toHaveLength(1);
    const result = await agent.result;
    expect(result).toMatchObject({ code: 1, stderr: expect.stringContaining('snapshot and locks was lost') as string });
    await expectNothingKept(result, 'failed');
  });

  test('dies', async () => {
    const agent = host.start('backup');
    await dumpUnderWay(agent.process, middle);
    await cluster.kill();
    const result = await agent.result;
    await cluster.start();
    expect(result).toMatchObject({ code: 1, stderr: expect.stringMatching(/connection|terminat/i) as string });
    await expectNothingKept(result, 'failed');
  });
});

describe('Ctrl-C', () => {
  test('as the backup begins', async () => {
    const agent = host.start('backup');
    await during(agent, 'its run', () => journalOf(host).at(-1)?.state === 'running', { everyMs: 1 });
    agent.process.kill('SIGINT');
    const result = await agent.result;
    expect(result).toMatchObject({ code: 130 });
    await expectNothingKept(result, 'cancelled');
  });

  test('in the middle of the dump', async () => {
    const agent = host.start('backup');
    const dump = await dumpUnderWay(agent.process, middle);
    agent.process.kill('SIGINT');
    const result = await agent.result;
    expect(result).toMatchObject({ code: 130 });
    expect(() => process.kill(dump, 0)).toThrow('ESRCH');
    await expectNothingKept(result, 'cancelled');
  });

  test('in a restore: no database of it is left', async () => {
    const agent = host.start('restore', 'latest', '--into', 'interrupted');
    await during(agent, 'rows on their way', async () => {
      const copying = `SELECT FROM pg_stat_activity WHERE application_name LIKE 'strideiq-restore-%' AND query LIKE 'COPY %'`;
      return (await cluster.query('postgres', copying)).length > 0;
    });
    agent.process.kill('SIGINT');
    expect(await agent.result).toMatchObject({ code: 130 });
    await expectNothingLeft(cluster, stores);
    expect(journalOf(host).at(-1)).toMatchObject({ kind: 'restore', state: 'cancelled' });
  });
});

test('two backups at once: the second is refused, the first does not notice', async () => {
  const first = host.start('backup', '--json');
  await dumpUnderWay(first.process, middle);
  const second = await host.run('backup');
  expect(second).toMatchObject({ code: 1, stderr: expect.stringContaining('is already being made') as string });
  expect(journalOf(host).at(-1)).toMatchObject({ state: 'failed', error_code: 'BackupAlreadyRunning' });
  expect(childrenOf(first.process.pid ?? 0)).not.toEqual([]);
  expect(await first.result).toMatchObject({ code: 0 });
  for (const store of stores) await expectOnlyWhole(store);
  await expectNothingLeft(cluster, stores);
});

test('a disk that fills up in the middle: that copy fails, the other is whole', async () => {
  // A state of its own: an agent that knew an earlier backup would see that there is too little room.
  const small = newHost({});
  // In a mount namespace of its own, where no test can leave a mount behind.
  const disk = `mount -t tmpfs -o size=6m none "${small.backupDirectory}"`;
  const left = `find "${small.backupDirectory}" -type f -size +100k`;
  const script = `${disk} && { "$0" "$@" > "${small.directory}/said"; echo "ended with $?"; ${left}; }`;
  const args = [process.execPath, agentProgram, 'backup', '--json', '--config', small.configurationFile];
  try {
    const { stdout } = await run('unshare', ['--map-root-user', '--mount', 'sh', '-c', script, ...args]);
    // And of no file, finished or temporary.
    expect(stdout).toBe('ended with 1\n');
    const said = JSON.parse(readFileSync(join(small.directory, 'said'), 'utf8')) as object;
    expect(said).toMatchObject({
      copies: [
        { store: 'local', state: 'failed', errorCode: 'StorageFull' },
        { store: 's3', state: 'stored' },
      ],
    });
    for (const store of stores) await expectOnlyWhole(store);
    await expectNothingLeft(cluster, stores);
  } finally {
    small.remove();
  }
});
