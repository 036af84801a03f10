import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { createSampleDatabase, startPostgres, type PostgresCluster } from '@strideiq/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';

/**
 * What the images hold: bundles, run from a folder that has nothing of the repository above it. The images themselves
 * need an engine, which a test machine need not have.
 */

const run = promisify(execFile);
const require = createRequire(import.meta.url);
const repository = join(import.meta.dirname, '..');

let directory: string;
let cluster: PostgresCluster;

/** The environment of an image: nothing of npm's, and no way back into the repository by PATH. */
const env = { PATH: '/usr/bin:/bin', HOME: '/nonexistent', NODE_ENV: 'production' };

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'strideiq-bundle-'));
  cluster = await startPostgres();
  await createSampleDatabase(cluster, 'running_app', { scaleMb: 1 });
  await run(process.execPath, ['tools/bundle.mjs', 'agent', join(directory, 'agent')], { cwd: repository });
});

afterAll(async () => {
  await cluster?.stop();
  rmSync(directory, { recursive: true, force: true });
});

async function agent(...args: string[]): Promise<{ stdout: string }> {
  return run(process.execPath, [join(directory, 'agent/strideiq-agent.js'), ...args], { cwd: directory, env });
}

function versionOf(room: string): string {
  const file = require.resolve(`${room}/package.json`);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

test('the agent’s bundle knows its version, migrates its journal, and makes a backup that it reads back', async () => {
  const said = await agent('--version');
  expect(said.stdout.trim()).toBe(versionOf('@strideiq/agent'));

  const state = join(directory, 'state');
  const url = `postgres://${cluster.user}@${encodeURIComponent(cluster.host)}:${cluster.port}/running_app`;
  const backups = join(directory, 'backups');
  const made = await agent(
    ...['backup', '--verify', '--json', '--state-dir', state, '--environment', 'test'],
    ...['--database-url', url, '--backup-dir', backups],
  );
  expect(JSON.parse(made.stdout)).toMatchObject({ verifications: [{ state: 'verified' }] });
  expect(existsSync(join(state, 'journal.db'))).toBe(true);
  expect(readdirSync(backups).filter((name) => name.endsWith('.sql.gz')).length).toBeGreaterThan(0);
});
