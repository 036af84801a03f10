import { execFile } from 'node:child_process';
import { mkdtempSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import {
  createSampleDatabase,
  fingerprint,
  startPostgres,
  startS3,
  type PostgresCluster,
  type S3Server,
} from '@strideiq/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AgentHost, agentProgram, type RunningAgent } from './agent-host.ts';
import { cliProgram, CliUser } from './cli-user.ts';
import { ControlPlaneServer } from './control-plane-server.ts';
import { databasesOf } from './raw-state.ts';

/** Every line of docs/runbook.md that somebody may type at 3 AM, typed into bash, in its order. */

let production: PostgresCluster;
let staging: PostgresCluster;
let s3: S3Server;
let server: ControlPlaneServer;
let host: AgentHost;
let stagingHost: AgentHost;
const daemons: RunningAgent[] = [];
let user: CliUser;
let directory: string;

beforeAll(async () => {
  [production, staging, s3] = await Promise.all([startPostgres(), startPostgres(), startS3()]);
  await Promise.all([
    createSampleDatabase(production, 'running_app', { scaleMb: 1 }),
    createSampleDatabase(staging, 'running_app', { scaleMb: 1 }),
    s3.createBucket('strideiq-backups'),
  ]);
  server = new ControlPlaneServer();
  await server.start();
  const common = { database: 'running_app', controlPlane: server.url };
  host = new AgentHost({
    ...common,
    cluster: production,
    environment: 'production',
    s3: { server: s3, endpoint: s3.endpoint, bucket: 'strideiq-backups' },
    allow: ['backup', 'verify', 'drill', 'presign', 'restoreFresh', 'restoreInPlace', 'cancel'],
  });
  stagingHost = new AgentHost({ ...common, cluster: staging, environment: 'staging', trustBackups: true });
  for (const each of [host, stagingHost]) daemons.push(await server.enrol(each));
  user = new CliUser();
  await user.json('login', '--url', server.url, '--key-file', `${server.dataDirectory}/admin.key`);
  directory = mkdtempSync(join(tmpdir(), 'strideiq-runbook-'));
  mkdirSync(join(directory, 'bin'));
  program('strideiq-agent', `exec '${process.execPath}' '${agentProgram}' "$@" --config '${host.configurationFile}'`);
  program('strideiq', `exec '${process.execPath}' '${cliProgram}' "$@"`);
  const { stdout } = await production.runClient('pg_dump', ['--no-owner', '--no-acl', '-d', 'running_app']);
  writeFileSync(join(directory, 'old.sql.gz'), gzipSync(stdout));
}, 240_000);

afterAll(async () => {
  for (const { process, result } of daemons) {
    process.kill('SIGTERM');
    await result;
  }
  await server?.remove();
  host?.remove();
  stagingHost?.remove();
  user?.remove();
  rmSync(directory, { recursive: true, force: true });
  await Promise.all([production?.stop(), staging?.stop(), s3?.stop()]);
});

function program(name: string, script: string): void {
  writeFileSync(join(directory, 'bin', name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

const text = readFileSync(join(import.meta.dirname, '../docs/runbook.md'), 'utf8');
const lines = text
  .split('\n')
  .filter((line) => /^ {4,}\S/.test(line))
  .map((line) => line.replace(/ {2,}#.*$/, '').trim());

/** What stands for something that is the reader's own, or asks on a terminal; and a replaced database that is there. */
async function asTyped(line: string): Promise<string> {
  const kept = (await databasesOf(production)).find((name) => name.startsWith('running_app_before_')) ?? 'none';
  const [privileges = ''] = readdirSync(host.backupDirectory).filter((name) => name.endsWith('.privileges.sql.gz'));
  const yes = /--in-place(?! --dry-run)|--replace-rows|restore (?:undo|drop)/.test(line) ? ' --yes' : '';
  return (
    line
      .replace('before:2026-01-11T14:30Z', `before:${new Date(Date.now() + 1000).toISOString()}`)
      .replace('running_app_before_20261130_041500', kept)
      .replace('4711', line.includes('4711') ? await anActivity() : '')
      .replace('/backups/NAME.privileges.sql.gz', join(host.backupDirectory, privileges)) + yes
  );
}

async function anActivity(): Promise<string> {
  const sql = 'SELECT min(activity_id)::text AS id FROM app.splits';
  const [row] = await production.query<{ id: string }>('running_app_restored', sql);
  return row?.id ?? '';
}

async function type(line: string): Promise<{ code: unknown; said: string }> {
  const { host: address, port, clientDir } = production;
  const env = {
    ...user.env,
    PATH: `${directory}/bin:${clientDir}:${process.env['PATH']}`,
    PGHOST: address,
    PGPORT: String(port),
    PGUSER: production.user,
  };
  return new Promise((resolve) => {
    execFile('bash', ['-o', 'pipefail', '-c', line], { env, cwd: directory }, (error, stdout, stderr) => {
      resolve({ code: error?.code ?? 0, said: stdout + stderr });
    });
  });
}

test('there are lines, and none of another program', () => {
  expect(lines.length).toBeGreaterThan(20);
  expect(lines.filter((line) => !/^(strideiq|strideiq-agent|psql|gunzip) /.test(line))).toEqual([]);
});

test('each does what it says', async () => {
  const before = await fingerprint(production, 'running_app');
  const { agentId } = await server.connected(stagingHost);
  for (const line of lines) {
    // What somebody has deleted.
    if (line.includes('INSERT INTO app.splits')) {
      await production.query('running_app', `DELETE FROM app.splits WHERE activity_id = ${await anActivity()}`);
    }
    // On a new machine there is none of that name yet.
    if (line.includes('--into running_app --trust-source')) await production.dropDatabase('running_app');
    const typed = (await asTyped(line)).replace('STAGING', agentId);
    const { code, said } = await type(typed);
    expect({ line, code, said }).toEqual({ line, code: 0, said });
  }
  const restored = ['running_app', 'running_app_restored', 'running_app_afar', 'running_app_s3', 'old'];
  for (const name of restored) expect([name, await fingerprint(production, name)]).toEqual([name, before]);
  expect(await databasesOf(staging)).toContain('running_app_copy');
}, 600_000);
