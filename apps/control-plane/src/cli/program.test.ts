import { freePort, run, waitFor } from '@strideiq/testkit';
import Database from 'better-sqlite3';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openCatalog } from '../catalog/open-catalog.ts';

const program = join(import.meta.dirname, '../../bin/strideiq-control-plane.js');

let directory = '';
let port = 0;
const running: ChildProcess[] = [];
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'strideiq-program-'));
  port = await freePort();
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));
afterEach(() => running.splice(0).forEach((child) => child.kill('SIGKILL')));

const dataDir = () => join(directory, 'data');

function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  const given = { STRIDEIQ_DATA_DIR: dataDir(), STRIDEIQ_LISTEN: `127.0.0.1:${port}`, ...env };
  const child = spawn(process.execPath, [program, ...args], {
    env: { ...process.env, ...given },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.push(child);
  return child;
}

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

async function ended(child: ChildProcess): Promise<Ended> {
  if (child.stdout === null || child.stderr === null) throw new Error('no output');
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { code: code as number | null, stdout, stderr };
}

const end = async (args: readonly string[], env: NodeJS.ProcessEnv = {}) => ended(start(args, env));

/** Starts the server and waits until it has said where it listens. */
async function serve(env: NodeJS.ProcessEnv = {}) {
  const child = start(['serve'], env);
  let said = '';
  child.stdout?.setEncoding('utf8').on('data', (piece: string) => (said += piece));
  child.stderr?.setEncoding('utf8').on('data', (piece: string) => (said += piece));
  await waitFor('the server to listen', () => {
    if (child.exitCode !== null) throw new Error(said);
    return said.includes('Listening at');
  });
  return { child, said: () => said };
}

async function status(path: string, key: string): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${port}/api/v1${path}`, { headers: { authorization: `Bearer ${key}` } });
  await answer.arrayBuffer();
  return answer.status;
}

describe('beside a server that runs', () => {
  test('keys, tokens and copies are made, and it knows at once; it stops when told, with everything that hangs on it', async () => {
    const { child, said } = await serve();
    const adminFile = join(dataDir(), 'admin.key');
    expect(said()).toContain(`The first admin's key is in ${adminFile}.`);
    expect(statSync(dataDir()).mode & 0o777).toBe(0o700);
    const admin = readFileSync(adminFile, 'utf8').trim();
    expect(await status('/keys', admin)).toBe(200);

    const second = await end(['serve'], { STRIDEIQ_LISTEN: '127.0.0.1:0' });
    expect(second.code).toBe(1);
    expect(second.stderr).toMatch(/^error: Another control plane serves the catalog in .*data\. [^\n]*\n$/);

    const made = await end([
      'keys',
      'create',
      '--name',
      'deploy',
      '--role',
      'viewer',
      '--environment',
      'eu',
      '--expires',
      '90d',
      '--json',
    ]);
    expect(made.code).toBe(0);
    const { key, id, expiresAt } = JSON.parse(made.stdout) as { key: string; id: string; expiresAt: string };
    expect(Date.parse(expiresAt) - Date.now()).toBeGreaterThan(89 * 86_400_000);
    expect(await status('/runs', key)).toBe(200);
    expect(await status('/keys', key)).toBe(403);
    const [listed, revoked] = [await end(['keys', 'list']), await end(['keys', 'revoke', id])];
    expect(listed.stdout).toMatch(new RegExp(`^${id}\\s+deploy\\s+viewer\\s+eu\\s+good until`, 'm'));
    expect(listed.stdout).not.toContain(key);
    expect(revoked.code).toBe(0);
    expect(await status('/runs', key)).toBe(401);

    const token = await end(['enroll-token', '--environment', 'eu', '--json']);
    expect(JSON.parse(token.stdout)).toEqual({
      token: expect.stringMatching(/^siqe_/) as string,
      environment: 'eu',
      expiresAt: expect.any(String) as string,
    });
    const copy = join(directory, 'copy.db');
    expect((await end(['catalog', 'backup', copy])).code).toBe(0);
    expect(await end(['catalog', 'restore', copy])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/is open in a control plane that runs. Stop it first/) as string,
    });

    // Somebody keeps a connection, and somebody an idle one.
    const idle = await fetch(`http://127.0.0.1:${port}/healthz`);
    expect(await idle.json()).toEqual({ status: 'ok' });
    child.kill('SIGTERM');
    const [code] = (await once(child, 'exit')) as [number];
    expect(code).toBe(0);
    // Nobody's secret stands in what it said.
    for (const secret of [admin, key, (JSON.parse(token.stdout) as { token: string }).token]) {
      expect(said()).not.toContain(secret);
    }

    // And with no server: the catalog as it was when copied, so that the key is not revoked any more.
    expect((await end(['catalog', 'restore', copy])).stdout).toMatch(/The catalog is back in .* is kept as/);
    expect((await end(['keys', 'list', '--json'])).stdout).toContain(id);
    const again = await serve();
    expect(again.said()).not.toContain("first admin's key");
    expect(await status('/runs', admin)).toBe(200);
    again.child.kill('SIGINT');
    expect((await once(again.child, 'exit'))[0]).toBe(130);
  });
});

describe('at three in the morning: one paragraph, and the right exit code', () => {
  const paragraph = /^error: [^\n]+\n$/;

  test.each([
    [
      'the data directory is below a file',
      { STRIDEIQ_DATA_DIR: '/etc/hostname/data' },
      1,
      /data directory .* cannot be used.*STRIDEIQ_DATA_DIR/,
    ],
    [
      'the data directory cannot be made',
      { STRIDEIQ_DATA_DIR: '/proc/strideiq' },
      1,
      /data directory .* cannot be used/,
    ],
    [
      'the address is none of this machine',
      { STRIDEIQ_LISTEN: '192.0.2.1:80', STRIDEIQ_ALLOW_PLAIN_TEXT: '1' },
      1,
      /no such address.*STRIDEIQ_LISTEN/,
    ],
    [
      'the certificate is missing',
      { STRIDEIQ_TLS_CERT: '/nowhere/cert.pem', STRIDEIQ_TLS_KEY: '/nowhere/key.pem' },
      2,
      /certificate cannot be read.*\/nowhere\/cert.pem/,
    ],
    [
      'the certificate is none',
      { STRIDEIQ_TLS_CERT: '/etc/hostname', STRIDEIQ_TLS_KEY: '/etc/hostname' },
      2,
      /cannot be used together.*PEM/,
    ],
  ])('%s', async (_, env, code, said) => {
    const ended = await end(['serve'], { STRIDEIQ_DATA_DIR: join(directory, 'night'), ...env });
    expect({ code: ended.code, stdout: ended.stdout }).toEqual({ code, stdout: '' });
    expect(lastLines(ended.stderr)).toMatch(paragraph);
    expect(ended.stderr).toMatch(said);
  });

  test('the port is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port: taken } = other.address() as { port: number };
    const ended = await end(['serve'], {
      STRIDEIQ_LISTEN: `127.0.0.1:${taken}`,
      STRIDEIQ_DATA_DIR: join(directory, 'night'),
    });
    other.close();
    expect(ended.code).toBe(1);
    expect(lastLines(ended.stderr)).toMatch(paragraph);
    expect(ended.stderr).toMatch(new RegExp(`cannot listen on port ${taken} of 127.0.0.1: another program has it`));
  });

  test('the data directory is another than the server’s: no key and no token is made where nobody knows it', async () => {
    const STRIDEIQ_DATA_DIR = join(directory, 'elsewhere');
    for (const args of [
      ['enroll-token', '--environment', 'eu'],
      ['keys', 'create', '--name', 'x', '--role', 'viewer', '--all-environments'],
    ]) {
      const ended = await end(args, { STRIDEIQ_DATA_DIR });
      expect({ code: ended.code, stdout: ended.stdout }).toEqual({ code: 3, stdout: '' });
      expect(ended.stderr).toMatch(/^error: There is no catalog in .*elsewhere\. [^\n]*STRIDEIQ_DATA_DIR[^\n]*\n$/);
    }
    expect(existsSync(STRIDEIQ_DATA_DIR)).toBe(false);
  });

  test('the catalog is of a newer version', async () => {
    const newer = join(directory, 'newer');
    openCatalog(newer).$client.close();
    const client = new Database(join(newer, 'catalog.db'));
    client.exec("INSERT INTO __drizzle_migrations (hash, created_at) VALUES ('x', 1), ('y', 2), ('z', 3)");
    client.close();
    const ended = await end(['serve'], { STRIDEIQ_DATA_DIR: newer });
    expect(ended.code).toBe(1);
    expect(ended.stderr).toMatch(
      /^error: The catalog .* was written by a newer version of the control plane. Start that version[^\n]*\n$/,
    );
  });

  test('plain text beyond this host, and all else that is wrong with the configuration', async () => {
    const open = await end(['serve'], { STRIDEIQ_LISTEN: '0.0.0.0:8080' });
    expect(open).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(/STRIDEIQ_LISTEN: is beyond this host/) as string,
    });
    const file = join(directory, 'wrong.yaml');
    writeFileSync(file, 'version: 1\nlissten: 127.0.0.1:1\n');
    expect(await end(['serve', '--config', file])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/wrong.yaml:2:1: lissten: .*Did you mean "listen"/) as string,
    });
    expect((await end(['serve', '--config', join(directory, 'none.yaml')])).code).toBe(2);
  });
});

/** What people read: the log's JSON lines stand before it. */
function lastLines(stderr: string): string {
  return stderr
    .split('\n')
    .filter((line) => !line.startsWith('{'))
    .join('\n');
}

test('what is asked wrongly is told by the exit code, and for programs as JSON', async () => {
  const create = ['keys', 'create', '--role', 'viewer', '--all-environments', '--name'];
  const [nothing, nameless, late, role, reach, key, copy] = await Promise.all([
    end([]),
    end([...create, ' ']),
    end([...create, 'x', '--expires', '999999999d']),
    end(['keys', 'create', '--name', 'x', '--role', 'owner', '--all-environments']),
    end(['keys', 'create', '--name', 'x', '--role', 'viewer', '--json']),
    end(['keys', 'revoke', 'none', '--json']),
    end(['catalog', 'restore', '/nowhere/copy.db']),
  ]);
  expect([nothing, nameless, late, role, reach, key, copy].map(({ code }) => code)).toEqual([2, 2, 2, 2, 2, 3, 3]);
  expect(late.stderr).toMatch(/--expires 999999999d is no moment to come/);
  expect(role.stderr).toMatch(/Allowed choices are viewer, operator, admin/);
  expect(JSON.parse(reach.stdout)).toMatchObject({
    error: { code: 'UsageInvalid', message: expect.stringMatching(/--all-environments/) as string },
  });
  expect(JSON.parse(key.stdout)).toMatchObject({ error: { code: 'NotFound' } });
});

test('TLS by files: no plain text on that port, and browsers are told to stay with it', async () => {
  const [cert, key] = [join(directory, 'tls.crt'), join(directory, 'tls.key')];
  await run('openssl', [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-days',
    '2',
    '-subj',
    '/CN=localhost',
    '-addext',
    'subjectAltName=DNS:localhost,IP:127.0.0.1',
    '-keyout',
    key,
    '-out',
    cert,
  ]);
  const tlsDir = join(directory, 'tls');
  await serve({ STRIDEIQ_TLS_CERT: cert, STRIDEIQ_TLS_KEY: key, STRIDEIQ_DATA_DIR: tlsDir });
  const { status, header } = await new Promise<{ status: number | undefined; header: unknown }>((resolve, reject) => {
    const ca = readFileSync(cert);
    request({ host: '127.0.0.1', port, path: '/readyz', ca }, (answer) => {
      answer.resume();
      resolve({ status: answer.statusCode, header: answer.headers['strict-transport-security'] });
    })
      .on('error', reject)
      .end();
  });
  expect({ status, header }).toEqual({ status: 200, header: 'max-age=31536000' });
  await expect(fetch(`http://127.0.0.1:${port}/readyz`)).rejects.toThrow(/fetch failed/);
  expect(existsSync(join(tlsDir, 'admin.key'))).toBe(true);
});
