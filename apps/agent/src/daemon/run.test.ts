import { newId } from '@strideiq/core';
import type { CommandEnvelope } from '@strideiq/protocol';
import { createSampleDatabase, startPostgres, waitFor, type PostgresCluster } from '@strideiq/testkit';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ScriptedControlPlane } from '../testing/scripted-control-plane.ts';
import { TestAgent } from '../testing/test-agent.ts';

/** The program itself, killed and stopped: what it had in hand has its true outcome afterwards, and is not done twice. */

const program = join(import.meta.dirname, '../../bin/strideiq-agent.js');

let cluster: PostgresCluster;
let controlPlane: ScriptedControlPlane;
let agent: TestAgent;
const started = new Set<ChildProcess>();

beforeAll(async () => {
  cluster = await startPostgres();
  await createSampleDatabase(cluster, 'app', { scaleMb: 20 });
}, 240_000);
afterAll(async () => cluster?.stop());

beforeEach(async () => {
  controlPlane = new ScriptedControlPlane();
  await controlPlane.start();
  const { host, port, user, password, clientDir } = cluster;
  const secret = password === undefined ? {} : { passwordFile: 'pg.pass' };
  agent = new TestAgent({
    controlPlane,
    databases: {
      app: {
        connection: { host, port, user, database: 'app', ...secret },
        stores: ['local'],
        dump: { pgDump: clientDir },
      },
      gone: { connection: { host, port: 1, user }, stores: ['other'] },
    },
    stores: { other: { type: 'directory', path: 'other' } },
  });
  writeFileSync(join(agent.directory, 'pg.pass'), password ?? '', { mode: 0o600 });
});
afterEach(async () => {
  for (const child of started) await end(child, 'SIGKILL');
  started.clear();
  await agent.remove();
  await controlPlane.stop();
});

interface Running {
  child: ChildProcess;
  ended: Promise<{ code: number | null; signal: string | null; stdout: string; stderr: string }>;
}

function start(...args: string[]): Running {
  const child = spawn(process.execPath, [program, ...args, '--config', agent.file], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started.add(child);
  return { child, ended: resultOf(child) };
}

async function resultOf(child: ChildProcess): Running['ended'] {
  const { stdout, stderr } = child;
  if (!stdout || !stderr) throw new Error('it has no output');
  const [out, err, [code, signal]] = await Promise.all([text(stdout), text(stderr), once(child, 'exit')]);
  return { code: code as number | null, signal: signal as string | null, stdout: out, stderr: err };
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}

const within = { timeoutMs: 90_000 };
const ended = async ({ commandId }: CommandEnvelope) =>
  waitFor('the end of the command', () => controlPlane.endOf(commandId), within);
const stateOf = ({ runId = '' }: CommandEnvelope) => controlPlane.run(runId)?.['state'];
const databases = async () => {
  const rows = await cluster.query<{ datname: string }>('postgres', 'SELECT datname FROM pg_database');
  return rows.map(({ datname }) => datname);
};
const files = () => readdirSync(agent.backups).filter((name) => name !== 'strideiq-owner.json');

/** Locks a table, so that a backup stays in front of it. */
async function lockTable(): Promise<() => Promise<void>> {
  const client = await cluster.connect('app');
  const { rows } = await client.query<{ name: string }>(
    `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname !~ '^(pg_|information_schema)' LIMIT 1`,
  );
  await client.query('BEGIN');
  await client.query(`LOCK TABLE ${rows[0]?.name} IN ACCESS EXCLUSIVE MODE`);
  return async () => {
    await client.query('ROLLBACK');
    await client.end();
  };
}

async function backedUp(): Promise<{ backupId: string; objectName: string; copies: { storeId: string }[] }> {
  const command = agent.command('backup');
  controlPlane.send(command);
  await ended(command);
  return (controlPlane.run(command.runId ?? '') as { backup: Awaited<ReturnType<typeof backedUp>> }).backup;
}

describe('killed, and started again', () => {
  test('in the middle of a backup: it failed, nothing of it is left, and the command is not repeated', async () => {
    const { child } = start('run');
    const command = agent.command('backup');
    controlPlane.send(command);
    await waitFor('bytes of it', () => files().some((name) => name.startsWith('.')), { ...within, everyMs: 1 });
    await end(child, 'SIGKILL');
    // As a control plane does that has not heard the acknowledgement.
    controlPlane.commands = [command];
    start('run');
    await ended(command);
    expect(controlPlane.run(command.runId ?? '')).toMatchObject({ state: 'failed', error: { code: 'AgentDied' } });
    expect(controlPlane.statesOf(command.runId ?? '')).toEqual(['running', 'failed']);
    expect(files()).toEqual([]);
    const next = await backedUp();
    expect(files()).toContain(next.objectName);
  });

  test('when the dump has its name and its manifest does not: it is finished, and told as if nothing had been', async () => {
    const { child } = start('run');
    const command = agent.command('backup');
    controlPlane.send(command);
    await waitFor('the dump', () => files().some((name) => /^app_\d+_\d+\.sql\.gz$/.test(name)), {
      ...within,
      everyMs: 1,
    });
    await end(child, 'SIGKILL');
    start('run');
    await ended(command);
    const run = controlPlane.run(command.runId ?? '') as {
      state: string;
      backup: { objectName: string; bytes: number };
    };
    expect(run.state).toBe('succeeded');
    const manifest = JSON.parse(
      readFileSync(join(agent.backups, run.backup.objectName.replace('.sql.gz', '.manifest.json')), 'utf8'),
    ) as {
      object: object;
      tables: object[];
      snapshot: { takenAt: string };
    };
    expect(run.backup).toMatchObject({
      ...Object.fromEntries(Object.entries(manifest.object).filter(([key]) => key !== 'name')),
      tables: manifest.tables.length,
      snapshotAt: manifest.snapshot.takenAt,
      copies: [{ state: 'stored' }],
    });
  });

  test('in the middle of a restore: it failed, no database is left, and the command is not repeated', async () => {
    const { child } = start('run');
    const backup = await backedUp();
    const command = restore(backup, 'app_killed');
    controlPlane.send(command);
    await waitFor(
      'the scratch database',
      async () => (await databases()).some((name) => name.startsWith('strideiq_')),
      { ...within, everyMs: 5 },
    );
    await end(child, 'SIGKILL');
    start('run');
    await ended(command);
    expect(controlPlane.run(command.runId ?? '')).toMatchObject({ state: 'failed', error: { code: 'AgentDied' } });
    expect((await databases()).filter((name) => /strideiq_|app_killed/.test(name))).toEqual([]);
  });

  test('when the restored database has just got its name: it succeeded, with what was compared', async () => {
    const { child } = start('run');
    const backup = await backedUp();
    const command = restore(backup, 'app_named');
    controlPlane.send(command);
    await waitFor('the database', async () => (await databases()).includes('app_named'), { ...within, everyMs: 1 });
    await end(child, 'SIGKILL');
    start('run');
    await ended(command);
    const { rows, tables } = backup as unknown as { rows: number; tables: number };
    expect(controlPlane.run(command.runId ?? '')).toMatchObject({
      state: 'succeeded',
      restore: { into: 'app_named', rows, tables },
    });
    await cluster.query('postgres', 'DROP DATABASE app_named');
  });

  test('a database whose server is away holds up none of the others', async () => {
    const running = start('run');
    const release = await lockTable();
    const command = agent.command('backup');
    controlPlane.send(command);
    await waitFor('it to run', () => stateOf(command) === 'running', within);
    await end(running.child, 'SIGKILL');
    await release();
    // A restore of a dead process, on a server that cannot be asked what is left of it.
    const id = newId(Date.now());
    agent.withJournal((journal) =>
      journal.begin({
        id,
        kind: 'restore',
        environment: 'test',
        database: 'gone',
        databaseId: agent.databaseId('gone'),
        detail: { source: 'x', into: 'y', scratchDatabase: 'strideiq_restore_x' },
      }),
    );
    agent.sql("UPDATE runs SET owner = json_set(owner, '$.pid', 4194305) WHERE id = ?", id);
    start('run');
    await ended(command);
    await waitFor('settled', () => controlPlane.settled.length >= 2, within);
    expect(stateOf(command)).toBe('failed');
    expect(controlPlane.settled.at(-1)?.openRunIds).toContain(id);
  });
});

function restore(backup: Awaited<ReturnType<typeof backedUp>>, into: string): CommandEnvelope {
  return agent.command('restoreFresh', {
    backupId: backup.backupId,
    sourceDatabaseId: agent.databaseId(),
    source: { via: 'store', storeId: backup.copies[0]?.storeId, key: backup.objectName },
    into,
  });
}

describe('told to stop', () => {
  test('it ends what runs in good order, says so, and exits 0', async () => {
    const { child, ended: result } = start('run', '--json');
    const release = await lockTable();
    const command = agent.command('backup');
    controlPlane.send(command);
    await waitFor('it to run', () => stateOf(command) === 'running', within);
    child.kill('SIGTERM');
    const { code, stderr, stdout } = await result;
    await release();
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    expect(stateOf(command)).toBe('cancelled');
    expect(await ended(command)).toMatchObject({ state: 'done' });
    const events = stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { runId?: string; text: string });
    expect(events.filter(({ runId }) => runId === command.runId).length).toBe(2);
    expect(events.at(-1)?.text).toBe('stopped');
    expect(stderr).not.toContain(controlPlane.credential);
    expect(files()).toEqual([]);
  });

  test('a second time it leaves at once', async () => {
    const { child, ended: result } = start('run');
    await waitFor('settled', () => controlPlane.settled.length > 0, within);
    // It waits for the answer to its last words.
    controlPlane.beforeAnswer = () => new Promise(() => undefined);
    agent.withJournal((journal) => journal.outbox.write('log', { runId: newId(1), lines: [] }));
    child.kill('SIGINT');
    await waitFor('it to have heard', () => {
      child.kill('SIGINT');
      return child.exitCode !== null;
    });
    expect((await result).code).toBe(130);
  });
});

describe('one for a state directory', () => {
  test('a second one is refused while the first lives, however that ends', async () => {
    const first = start('run');
    await waitFor('settled', () => controlPlane.settled.length > 0, within);
    const second = await start('run').ended;
    expect(second).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Another `strideiq-agent run`') as string,
    });
    await end(first.child, 'SIGKILL');
    start('run');
    await waitFor('settled again', () => controlPlane.settled.length > 1, within);
  });
});

describe('cannot run, and says what to do', () => {
  test('where it has not enrolled', async () => {
    rmSync(join(agent.stateDir, 'credential.json'));
    const { code, stderr } = await start('run').ended;
    expect(code).toBe(2);
    expect(stderr).toContain(`strideiq-agent enroll --url ${controlPlane.url} --token TOKEN`);
  });

  test('where its file names no control plane', async () => {
    const file = JSON.parse(readFileSync(agent.file, 'utf8')) as Record<string, unknown>;
    writeFileSync(agent.file, JSON.stringify({ ...file, controlPlane: undefined }));
    const { code, stderr } = await start('run').ended;
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringContaining(`controlPlane: { url: ${controlPlane.url} }`) as string,
    });
  });

  test('where it has enrolled in another environment', async () => {
    const file = JSON.parse(readFileSync(agent.file, 'utf8')) as Record<string, unknown>;
    writeFileSync(agent.file, JSON.stringify({ ...file, environment: 'production' }));
    const { code, stdout } = await start('run', '--json').ended;
    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'EnvironmentMismatch' } });
  });
});

test('a run of another process of this host is cancelled as by Ctrl-C', async () => {
  start('run');
  const release = await lockTable();
  const cli = start('backup', 'app');
  const run = await waitFor('its run', () => controlPlane.told('run').find(({ state }) => state === 'running'), within);
  const command = agent.command('cancel', { runId: run['runId'] });
  controlPlane.send(command);
  expect(await ended(command)).toMatchObject({ state: 'done' });
  expect((await cli.ended).code).toBe(130);
  await release();
  await waitFor('its end', () => controlPlane.run(String(run['runId']))?.['state'] === 'cancelled', within);
  expect(files()).toEqual([]);
});
