import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { createSampleDatabase, freePort, startPostgres, waitFor, type PostgresCluster } from '@strideiq/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { programFile } from './programs.ts';

/**
 * What the images hold: bundles, run from a folder that has nothing of the repository above it. The images themselves
 * need an engine, which a test machine need not have.
 */

const run = promisify(execFile);
const require = createRequire(import.meta.url);
const repository = join(import.meta.dirname, '..');

let directory: string;
let cluster: PostgresCluster;
let url: string;
const started: ChildProcess[] = [];

/** The environment of an image: nothing of npm's, and no way back into the repository by PATH. */
const env = { PATH: '/usr/bin:/bin', HOME: '/nonexistent', NODE_ENV: 'production' };

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'strideiq-bundle-'));
  cluster = await startPostgres();
  url = `postgres://${cluster.user}@${cluster.host}:${cluster.port}/running_app`;
  await createSampleDatabase(cluster, 'running_app', { scaleMb: 1 });
  for (const app of ['agent', 'control-plane'] as const) {
    // Copies, since one of them loses a part.
    cpSync(dirname(programFile(app)), join(directory, app), { recursive: true });
  }
});

afterAll(async () => {
  for (const child of started) child.kill('SIGKILL');
  await cluster?.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** A program of a bundle: the child, and what it prints where it is waited for. */
function programOf(app: 'agent' | 'control-plane', more: NodeJS.ProcessEnv = {}) {
  const file = join(directory, app, `strideiq-${app}.js`);
  const options = { cwd: directory, env: { ...env, ...more } };
  return {
    run: async (...args: string[]) => (await run(process.execPath, [file, ...args], options)).stdout,
    start: (...args: string[]) => {
      const child = spawn(process.execPath, [file, ...args], { ...options, stdio: 'ignore' });
      started.push(child);
      return child;
    },
  };
}

async function stopped(child: ChildProcess): Promise<number | null> {
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  return ((await exited) as [number | null])[0];
}

function versionOf(room: string): string {
  const file = require.resolve(`${room}/package.json`);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

test('the agent’s bundle knows its version, migrates its journal, and makes a backup that it reads back', async () => {
  const agent = programOf('agent');
  expect((await agent.run('--version')).trim()).toBe(versionOf('@strideiq/agent'));

  const state = join(directory, 'state-of-one');
  const backups = join(directory, 'backups-of-one');
  const place = ['--database-url', url, '--backup-dir', backups, '--environment', 'test', '--state-dir', state];
  const made = await agent.run('backup', '--verify', '--json', ...place);
  expect(JSON.parse(made)).toMatchObject({ verifications: [{ state: 'verified' }], compressor: 'libdeflate' });
  expect(existsSync(join(state, 'journal.db'))).toBe(true);
  expect(readdirSync(backups).filter((name) => name.endsWith('.sql.gz')).length).toBeGreaterThan(0);

  rmSync(join(directory, 'agent', 'node_modules', 'koffi'), { recursive: true });
  const withoutIt = await agent.run('backup', '--verify', '--json', ...place);
  expect(JSON.parse(withoutIt)).toMatchObject({ verifications: [{ state: 'verified' }], compressor: 'zlib' });
});

test('the control plane’s bundle is well as its image’s health check sees it, and enrols the agent’s', async () => {
  const port = await freePort();
  const listen = { STRIDEIQ_LISTEN: `127.0.0.1:${port}` };
  const data = join(directory, 'data');
  const plane = programOf('control-plane', { ...listen, STRIDEIQ_DATA_DIR: data });
  const isWell = async () => {
    const check = run(process.execPath, [join(repository, 'docker/healthcheck.js')], { env: { ...env, ...listen } });
    return check.then(
      () => true,
      () => false,
    );
  };
  expect((await plane.run('--version')).trim()).toBe(versionOf('@strideiq/control-plane'));
  expect(await isWell()).toBe(false);
  const serving = plane.start('serve');
  await waitFor('the control plane to be well', isWell, { timeoutMs: 60_000 });

  const api = async (path: string) => {
    const key = readFileSync(join(data, 'admin.key'), 'utf8').trim();
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1${path}`, {
      headers: { authorization: `Bearer ${key}` },
    });
    return answer.json();
  };

  const configuration = join(directory, 'agent.yaml');
  const file = {
    version: 1,
    controlPlane: { url: `http://127.0.0.1:${port}` },
    environment: 'test',
    stateDir: join(directory, 'state'),
    stores: { local: { type: 'directory', path: join(directory, 'backups') } },
    databases: { running_app: { connection: { url }, stores: ['local'] } },
  };
  writeFileSync(configuration, JSON.stringify(file));
  const agent = programOf('agent');
  const { token } = JSON.parse(await plane.run('enroll-token', '--environment', 'test', '--json')) as { token: string };
  await agent.run('enroll', '--config', configuration, '--url', `http://127.0.0.1:${port}`, '--token', token);
  expect(await api('/agents')).toMatchObject({ items: [{ environment: 'test' }] });

  expect(await stopped(serving)).toBe(0);
  expect(await isWell()).toBe(false);
});
