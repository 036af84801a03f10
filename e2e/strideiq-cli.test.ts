import { once } from 'node:events';
import { join } from 'node:path';
import {
  createSampleDatabase,
  fingerprint,
  run as runProgram,
  startHttpFaultProxy,
  startPostgres,
  waitFor,
} from '@strideiq/testkit';
import type { PostgresCluster } from '@strideiq/testkit';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AgentHost, type RunningAgent } from './agent-host.ts';
import { CliUser, cliProgram, resultOf } from './cli-user.ts';
import { ControlPlaneServer } from './control-plane-server.ts';
import { databasesOf } from './raw-state.ts';

/** `strideiq` beside two hosts in two environments that call their databases alike. */

let cluster: PostgresCluster;
let server: ControlPlaneServer;
let production: AgentHost;
let staging: AgentHost;
let productionDaemon: RunningAgent;
let stagingDaemon: RunningAgent;
let user: CliUser;

interface Run {
  id: string;
  runId: string;
  state: string;
  backupId: string;
  kind: string;
  error: { code: string } | null;
}

beforeAll(async () => {
  cluster = await startPostgres();
  await createSampleDatabase(cluster, 'running_app', { scaleMb: 2 });
  server = new ControlPlaneServer();
  await server.start();
  user = new CliUser();
  await user.json('login', '--url', server.url, '--key-file', `${server.dataDirectory}/admin.key`);
  const host = (environment: string) =>
    new AgentHost({ cluster, database: 'running_app', environment, controlPlane: server.url });
  production = host('production');
  staging = host('staging');
  productionDaemon = await server.enrol(production);
  stagingDaemon = await server.enrol(staging);
}, 240_000);

afterAll(async () => {
  for (const daemon of [productionDaemon, stagingDaemon]) {
    daemon?.process.kill('SIGTERM');
    await daemon?.result;
  }
  await server?.remove();
  for (const each of [production, staging, user]) each?.remove();
  await cluster?.stop();
});

/** Runs a command by a host's name that may exit otherwise than 0. */
async function outcome(...args: string[]): Promise<{ code: number | undefined; document: Run; stderr: string }> {
  const { code, stdout, stderr } = await user.run([...args, '--json']);
  return { code, document: JSON.parse(stdout) as Run, stderr };
}

const backup = async (): Promise<Run> => user.json<Run>('backup', 'production/running_app', '--watch');

test('what there is: agents, databases, and names that say which', async () => {
  expect(await user.json('agents')).toMatchObject({
    items: [
      { environment: 'staging', connected: true },
      { environment: 'production', connected: true },
    ],
  });
  const { stdout } = await user.run(['databases', '--environment', 'production']);
  expect(stdout).toMatch(
    /^DATABASE +HOST +STATE +SERVER +SIZE +LAST BACKUP +LAST DRILL +ID\nproduction\/running_app +\S+ +ok /,
  );
  expect(stdout).not.toContain('staging');
  expect(await outcome('backup', 'running_app')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('production/running_app, staging/running_app') as string,
  });
});

test('a backup, its verification and its restore, each watched to its end', async () => {
  const made = await backup();
  expect(made).toMatchObject({ kind: 'backup', state: 'succeeded', runId: made.id });
  const { items } = await user.json<{ items: { id: string; objectName: string }[] }>(
    'backups',
    'production/running_app',
  );
  expect(items[0]?.id).toBe(made.backupId);
  const name = items[0]?.objectName.replace('.sql.gz', '') ?? '';

  expect(await user.json('verify', name, '--watch')).toMatchObject({ kind: 'verify', state: 'succeeded' });
  const listed = await user.run(['backups', 'production/running_app']);
  expect(listed.stdout).toMatch(new RegExp(`${name} .* local: verified +${made.backupId}$`, 'm'));

  const byId = await user.run(['restore', made.backupId, '--into', 'by_id', '--watch']);
  expect(byId).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/restore of production\/running_app succeeded/) as string,
  });
  const latest = ['restore', 'latest', '--database', 'production/running_app', '--into', 'by_latest'];
  expect(await user.json(...latest, '--via', 'production/running_app', '--watch')).toMatchObject({
    kind: 'restore',
    state: 'succeeded',
  });
  const before = await fingerprint(cluster, 'running_app');
  expect(await fingerprint(cluster, 'by_id')).toEqual(before);
  expect(await fingerprint(cluster, 'by_latest')).toEqual(before);
});

test('without --watch the run is named, and followed line by line', async () => {
  const { runId } = await user.json<{ runId: string }>('backup', 'staging/running_app');
  const { code, stdout } = await user.run(['runs', runId, '--follow', '--json']);
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { run?: Run; log?: { text: string } });
  expect([code, lines.findLast(({ run }) => run !== undefined)?.run?.state]).toEqual([0, 'succeeded']);
  expect(lines.every(({ run, log }) => (run === undefined) !== (log === undefined))).toBe(true);
  const shown = await user.json<{ log: { text: string }[] }>('runs', runId);
  expect(shown).toMatchObject({ id: runId, kind: 'backup', state: 'succeeded' });
  expect(lines.flatMap(({ log }) => log?.text ?? [])).toEqual(shown.log.map(({ text }) => text));
  const table = await user.run(['runs', '--database', 'staging/running_app', '--kind', 'backup']);
  expect(table.stdout).toMatch(new RegExp(`backup +staging/running_app +succeeded +.*first admin +${runId}$`, 'm'));
});

test('a backup that a wrong clock has dated in the future is not the latest', async () => {
  const [right, wrong] = [await backup(), await backup()];
  const catalog = new Database(join(server.dataDirectory, 'catalog.db'), { timeout: 10_000 });
  const move = (ms: number) =>
    catalog
      .prepare(
        'UPDATE backups SET host_finished_at = host_finished_at + ?, host_snapshot_at = host_snapshot_at + ? WHERE id = ?',
      )
      .run(ms, ms, wrong.backupId);
  move(86_400_000);
  try {
    const args = ['latest', '--database', 'production/running_app', '--watch'];
    expect(await user.json<Run>('verify', ...args)).toMatchObject({ backupId: right.backupId });
    expect(await user.json<Run>('restore', ...args, '--into', 'by_clock')).toMatchObject({ backupId: right.backupId });
  } finally {
    move(-86_400_000);
    catalog.close();
  }
});

test('work that fails ends with 1 and says why', async () => {
  await backup();
  await cluster.query('postgres', 'CREATE DATABASE taken');
  const args = ['restore', 'latest', '--database', 'production/running_app', '--into', 'taken', '--watch'];
  const { code, document, stderr } = await outcome(...args);
  expect([code, document]).toMatchObject([1, { state: 'failed', error: { code: 'TargetExists' } }]);
  expect(stderr).toMatch(/^error: Restore of .* failed: /m);
  // The copy is in a directory of the other host, which the control plane knows beforehand.
  const [agent] = (await user.json<{ items: { id: string }[] }>('agents', '--environment', 'staging')).items;
  const elsewhere = ['restore', 'latest', '--database', 'production/running_app', '--into', 'far'];
  expect(await outcome(...elsewhere, '--agent', agent?.id ?? '')).toMatchObject({
    code: 1,
    document: { error: { code: 'CopyUnreachable' } },
  });
});

test('asked again over a connection that was cut, the work is done once', async () => {
  const count = () => server.rows("SELECT id FROM runs WHERE kind = 'backup'").length;
  const proxy = await startHttpFaultProxy({ to: server.url });
  try {
    const before = count();
    proxy.add({ pathIncludes: 'backups.create', nth: 1, times: 2, fault: 'drop' });
    const child = user.start(['backup', 'production/running_app', '--watch', '--json'], {
      env: { STRIDEIQ_URL: proxy.endpoint, STRIDEIQ_KEY: server.adminKey },
    });
    const { code, stdout, stderr } = await resultOf(child);
    expect([code, (JSON.parse(stdout) as Run).state]).toEqual([0, 'succeeded']);
    expect(stderr.match(/Trying again/g)).toHaveLength(2);
    expect(count()).toBe(before + 1);
    const keys = proxy.requests
      .filter(({ path }) => path.includes('backups.create'))
      .map(({ headers }) => headers['idempotency-key']);
    expect([keys.length, new Set(keys).size]).toEqual([3, 1]);
    // Another command is another request, however alike.
    await user.json('backup', 'production/running_app', '--watch');
    expect(count()).toBe(before + 2);
  } finally {
    await proxy.stop();
  }
});

describe('while the agent is away', () => {
  beforeAll(async () => {
    productionDaemon.process.kill('SIGTERM');
    await productionDaemon.result;
    await waitFor('it to be seen away', async () => {
      const { items } = await user.json<{ items: { connected: boolean }[] }>('agents', '--environment', 'production');
      return items[0]?.connected === false;
    });
  });
  afterAll(async () => {
    productionDaemon = production.start('run');
    await server.connected(production);
  });

  test('what waits for it is said, and can be called off', async () => {
    const { runId } = await user.json<{ runId: string }>('backup', 'production/running_app');
    expect(user.said).toContain('the agent of production/running_app is away');
    expect(await user.json('runs', runId)).toMatchObject({ state: 'queued' });
    expect(await user.json('cancel', runId, '--watch')).toMatchObject({ state: 'cancelled' });
    expect(await outcome('cancel', runId)).toMatchObject({ code: 1, document: { error: { code: 'RunNotActive' } } });
  });

  test('Ctrl-C leaves the run alone, and says how to come back to it', async () => {
    const before = user.said.length;
    const child = user.start(['backup', 'production/running_app', '--watch']);
    await waitFor('it to wait', () => user.said.slice(before).includes('Waiting for the agent'));
    child.kill('SIGINT');
    const { code, stderr } = await resultOf(child);
    const [, runId = ''] = /strideiq runs (\S+) --follow/.exec(stderr) ?? [];
    expect(code).toBe(130);
    expect(await user.json('runs', runId)).toMatchObject({ state: 'queued' });
    await user.json('cancel', runId);
  });

  test('a control plane that dies is waited for, and the run watched to its end', async () => {
    const before = user.said.length;
    const said = () => user.said.slice(before);
    const result = resultOf(user.start(['backup', 'production/running_app', '--watch']));
    await waitFor('it to wait', () => said().includes('Waiting for the agent'));
    await server.kill();
    await waitFor('the loss to be noticed', () => said().includes('Runs go on without it'));
    await server.start();
    productionDaemon = production.start('run');
    expect(await result).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^Run \S+: backup of production\/running_app succeeded/) as string,
    });
  });
});

test('on a terminal the run is watched by a bar, which is taken away at its end', async () => {
  const command = [process.execPath, cliProgram, 'backup', 'production/running_app', '--watch'];
  const quoted = command.map((word) => `'${word}'`).join(' ');
  const { stdout } = await runProgram('script', ['-qec', quoted, '/dev/null'], { env: user.env });
  expect(stdout).toContain('\r\u{1B}[2K');
  expect(stdout).toContain('\u{1B}[2KRun ');
  expect(stdout).toContain(': backup of production/running_app succeeded');
});

test('runs --follow tells of what begins and ends anywhere', async () => {
  const follower = user.start(['runs', '--follow', '--json']);
  let told = '';
  follower.stdout?.on('data', (piece: Buffer) => {
    told += piece.toString();
  });
  const { runId } = await user.json<Run>('backup', 'staging/running_app', '--watch');
  await waitFor('its end to be told', () => told.includes(`"id":"${runId}"`) && told.includes('"succeeded"'));
  const exited = once(follower, 'exit');
  follower.kill('SIGINT');
  expect((await exited)[0]).toBe(130);
});

test('nothing was ever left behind, and no key was ever printed', async () => {
  expect((await databasesOf(cluster)).filter((name) => name.startsWith('strideiq_'))).toEqual([]);
  expect(user.said).not.toContain(server.adminKey);
});
