import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { freePort, run as runProgram, startHttpFaultProxy, waitFor } from '@strideiq/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { CliUser, cliProgram, resultOf } from './cli-user.ts';
import { ControlPlaneServer, controlPlaneProgram } from './control-plane-server.ts';

/** `strideiq` as people and scripts use it, as far as no agent is needed: who they are, and what they may. */

let server: ControlPlaneServer;
let user: CliUser;
let keyFile = '';

beforeAll(async () => {
  server = new ControlPlaneServer();
  await server.start();
  keyFile = join(server.dataDirectory, 'admin.key');
});
afterAll(() => server?.remove());
beforeEach(() => {
  user = new CliUser();
});
afterEach(() => {
  // Whatever a command is asked, it never repeats a key.
  if (user.said.includes(server.adminKey)) throw new Error('strideiq has printed the key that it was given');
  user.remove();
});

const loggedIn = async (): Promise<void> => {
  await user.json('login', '--url', server.url, '--key-file', keyFile);
};

/** A key with less than the first admin's. */
async function keyFor(role: string, environments: string[] | null): Promise<string> {
  const { body } = await server.request('POST', '/keys', { body: { name: `a ${role}`, role, environments } });
  return body['key'] as string;
}

describe('login', () => {
  test('keeps a key that holds where only its owner reads it', async () => {
    const made = await user.json('login', '--url', server.url, '--key-file', keyFile);
    expect(made).toMatchObject({ context: new URL(server.url).host, role: 'admin', environments: null });
    expect(JSON.stringify(made)).not.toContain(server.adminKey);
    expect(statSync(user.credentialsFile).mode & 0o777).toBe(0o600);
    expect(statSync(dirname(user.credentialsFile)).mode & 0o777).toBe(0o700);
    expect(await user.json('keys', 'list')).toMatchObject({ items: [{ role: 'admin' }], more: false });
  });

  test('keeps none that does not', async () => {
    const wrong = `siq_${'x'.repeat(43)}`;
    const { code, stdout, stderr } = await user.run(['login', '--url', server.url, '--key-file', '-', '--json'], {
      input: `${wrong}\n`,
    });
    expect([code, JSON.parse(stdout)]).toMatchObject([2, { error: { code: 'KeyInvalid' } }]);
    expect(stderr).toMatch(/does not take this key/);
    expect(`${stdout}${stderr}`).not.toContain(wrong);
    expect(existsSync(user.credentialsFile)).toBe(false);
  });

  test('asks on a terminal, and shows nothing of what is typed', async () => {
    const command = [process.execPath, cliProgram, 'login', '--url', server.url].map((word) => `'${word}'`).join(' ');
    const terminal = spawn('script', ['-qec', command, '/dev/null'], {
      env: user.env,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let screen = '';
    terminal.stdout.on('data', (piece: Buffer) => {
      screen += piece.toString();
    });
    const ended = once(terminal, 'close');
    await waitFor('the question', () => screen.includes('API key: '));
    terminal.stdin.write(`${server.adminKey}\r`);
    await ended;
    expect(screen).toMatch(/Logged in to/);
    expect(screen).not.toContain(server.adminKey);
    expect(statSync(user.credentialsFile).mode & 0o777).toBe(0o600);
  });

  test('takes no key from the command line', async () => {
    const { code } = await user.run(['login', '--url', server.url, '--key', 'siq_x']);
    expect(code).toBe(2);
    const nobody = await user.run(['login', '--url', server.url, '--json']);
    expect([nobody.code, JSON.parse(nobody.stdout)]).toMatchObject([2, { error: { code: 'UsageInvalid' } }]);
  });

  test('to plain text beyond this machine is refused, before anything is sent', async () => {
    const { code, stdout } = await user.run(
      ['login', '--url', 'http://backup.example.com', '--key-file', keyFile, '--json'],
      {},
    );
    expect([code, JSON.parse(stdout)]).toMatchObject([2, { error: { code: 'PlainTextRefused' } }]);
  });

  test('several, by name; logout forgets one', async () => {
    const viewer = await keyFor('viewer', ['production']);
    await loggedIn();
    await user.run(['login', '--url', server.url, '--key-file', '-', '--context', 'looking'], { input: viewer });
    const contexts = async () => (await user.json<{ items: { name: string; current: boolean }[] }>('contexts')).items;
    const first = new URL(server.url).host;
    expect(await contexts()).toMatchObject([
      { name: first, current: false },
      { name: 'looking', current: true },
    ]);
    expect((await user.run(['keys', 'list'])).code).toBe(1);
    expect((await user.run(['keys', 'list', '--context', first])).code).toBe(0);
    expect((await user.run(['contexts', first])).code).toBe(0);
    expect((await user.run(['keys', 'list'])).code).toBe(0);
    await user.json('logout');
    expect(readFileSync(user.credentialsFile, 'utf8')).not.toContain(server.adminKey);
    expect((await user.run(['keys', 'list', '--json'])).code).toBe(2);
    expect((await user.run(['keys', 'list', '--context', first])).code).toBe(2);
    expect((await user.run(['environments', '--context', 'looking'])).code).toBe(3);
    expect(user.said).not.toContain(viewer);
  });

  test('is not needed where the environment says all', async () => {
    const env = { STRIDEIQ_URL: server.url, STRIDEIQ_KEY: server.adminKey };
    expect(await user.run(['keys', 'list'], { env })).toMatchObject({ code: 0 });
    expect(await user.run(['keys', 'list'], { env: { STRIDEIQ_URL: server.url } })).toMatchObject({ code: 2 });
    expect(existsSync(user.credentialsFile)).toBe(false);
  });
});

describe('what goes wrong is told plainly', () => {
  const failure = async (args: string[], env?: NodeJS.ProcessEnv) => {
    const { code, stdout, stderr } = await user.run([...args, '--json'], env === undefined ? {} : { env });
    const { error } = JSON.parse(stdout) as { error: { code: string; message: string } };
    expect(stderr).toContain(error.message.slice(0, 40));
    return { exit: code, code: error.code, message: error.message };
  };

  test('a role that is too low, an environment of others, a key that was revoked', async () => {
    const key = await keyFor('viewer', ['production']);
    const env = { STRIDEIQ_URL: server.url, STRIDEIQ_KEY: key };
    expect(await failure(['audit'], env)).toMatchObject({
      exit: 1,
      code: 'RoleTooLow',
      message: expect.stringMatching(/has the role viewer, and this needs admin/) as string,
    });
    expect(await failure(['agents', '--environment', 'staging'], env)).toMatchObject({
      exit: 1,
      code: 'EnvironmentNotAllowed',
    });
    await loggedIn();
    const { items } = await user.json<{ items: { id: string; name: string; revokedAt: string | null }[] }>(
      'keys',
      'list',
    );
    const mine = items.find(({ name, revokedAt }) => name === 'a viewer' && revokedAt === null);
    await user.json('keys', 'revoke', mine?.id ?? '');
    expect(await failure(['agents'], env)).toMatchObject({ exit: 2, code: 'KeyInvalid' });
  });

  test('nobody there, and something else there', async () => {
    const env = { STRIDEIQ_URL: 'http://127.0.0.1:9', STRIDEIQ_KEY: server.adminKey };
    expect(await failure(['agents'], env)).toMatchObject({
      exit: 1,
      code: 'Unreachable',
      message: expect.stringContaining('http://127.0.0.1:9') as string,
    });
    expect(await failure(['agents'], { ...env, STRIDEIQ_URL: `${server.url}/no/such/place` })).toMatchObject({
      code: 'NotFound',
      exit: 3,
    });
  });

  test('what is not there ends with 3', async () => {
    await loggedIn();
    expect(await failure(['backup', 'nothing'])).toMatchObject({ exit: 3, code: 'NotFound' });
    expect(await failure(['verify', 'app_20260111_030000'])).toMatchObject({ exit: 3, code: 'NotFound' });
    expect(await failure(['cancel', '01996f5e-3a56-7f7a-b8f6-9a4a3c9c1f10'])).toMatchObject({ exit: 3 });
    const { code, stdout } = await user.run(['runs', '--json']);
    expect([code, JSON.parse(stdout)]).toEqual([3, { items: [], more: false }]);
  });

  test.each([
    [['restore', 'latest', '--into', 'x']],
    [['runs', 'x']],
    [['backup']],
    [['keys', 'create']],
    [['nonsense']],
    [[]],
  ])('%j is a slip of the user, and ends with 2', async (args) => {
    await loggedIn();
    expect(await failure(args)).toMatchObject({ exit: 2 });
  });
});

describe('keys and tokens', () => {
  test('a key is shown once, or written where only its owner reads it', async () => {
    await loggedIn();
    const create = ['keys', 'create', '--role', 'operator', '--environment', 'production'];
    const shown = await user.run([...create, '--name', 'shown', '--expires', '2h']);
    expect(shown.stdout).toMatch(/^siq_[\w-]{43}\n$/);
    const file = join(user.home, 'new.key');
    const written = await user.run([...create, '--name', 'written', '--key-file', file]);
    const key = readFileSync(file, 'utf8').trim();
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(`${written.stdout}${written.stderr}`).not.toContain(key);
    for (const each of [shown.stdout.trim(), key]) {
      const env = { STRIDEIQ_URL: server.url, STRIDEIQ_KEY: each };
      expect((await user.run(['environments', '--environment'], { env })).code).toBe(2);
      expect((await user.run(['agents', '--environment', 'production'], { env })).code).toBe(3);
    }
    // Made once and lost would be worse than not made.
    const again = await user.run([...create, '--name', 'never made', '--key-file', file]);
    expect(again.code).toBe(1);
    const { items } = await user.json<{ items: { name: string }[] }>('keys', 'list');
    expect(items.map(({ name }) => name)).not.toContain('never made');
    expect(readFileSync(file, 'utf8').trim()).toBe(key);
  });

  test('a key that cannot be written down does not go on to hold', async () => {
    await loggedIn();
    const file = join(user.home, 'full.key');
    const create = ['keys', 'create', '--role', 'viewer', '--all-environments', '--name', 'full', '--key-file', file];
    // No file may grow, as on a full disk.
    const limited = ['-c', 'trap "" XFSZ; ulimit -f 0; exec "$@"', 'sh', process.execPath, cliProgram, ...create];
    const { code, stderr } = await resultOf(spawn('sh', limited, { env: user.env }));
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: The key cannot be written down: .*It was revoked again\.$/m);
    expect(existsSync(file)).toBe(false);
    const { items } = await user.json<{ items: { name: string; revokedAt: string | null }[] }>('keys', 'list');
    expect(items.find(({ name }) => name === 'full')?.revokedAt).toEqual(expect.any(String));
  });

  test('a key is revoked by its name, and never named by itself', async () => {
    await loggedIn();
    await user.json('keys', 'create', '--name', 'leaving', '--role', 'viewer', '--all-environments');
    expect(await user.json('keys', 'revoke', 'leaving')).toMatchObject({ revokedAt: expect.any(String) as string });
    expect((await user.run(['keys', 'revoke', 'leaving'])).code).toBe(3);
    expect((await user.run(['keys', 'revoke', `siq_${'k'.repeat(43)}`])).code).toBe(2);
  });

  test('a token for a host, and the audit that knows of it', async () => {
    await loggedIn();
    const made = await user.json('enroll-token', '--environment', 'from-afar');
    expect(made).toEqual({
      token: expect.any(String) as string,
      environment: 'from-afar',
      expiresAt: expect.stringMatching(/^\d{4}-.*Z$/) as string,
    });
    expect(await user.json('environments')).toMatchObject({ items: [{ name: 'from-afar', agents: 0 }] });
    const { items } = await user.json<{ items: { action: string; environment: string | null }[] }>('audit');
    expect(items[0]).toMatchObject({ environment: 'from-afar' });
    expect(await user.json('audit', '--verify')).toMatchObject({ whole: true, brokenSeq: null });
    const { stdout, stderr } = await user.run(['audit', '--limit', '1']);
    expect(stdout.trim().split('\n')).toHaveLength(2);
    expect(stderr).toMatch(/There are more: --limit/);
    const token = await user.run(['enroll-token', '--environment', 'from-afar']);
    expect(token.stdout).toMatch(/^\S+\n$/);
    expect(token.stderr).toContain(`strideiq-agent enroll --url ${server.url}`);
  });
});

test('reading over a connection that breaks off is tried again', async () => {
  const proxy = await startHttpFaultProxy({ to: server.url });
  try {
    proxy.add({ pathIncludes: 'keys.list', nth: 1, times: 2, fault: 'drop' });
    const env = { STRIDEIQ_URL: proxy.endpoint, STRIDEIQ_KEY: server.adminKey };
    const { code, stderr } = await user.run(['keys', 'list'], { env });
    expect([code, stderr.match(/Trying again/g)?.length]).toEqual([0, 2]);
    // A key that may or may not have been made is not made again.
    proxy.add({ pathIncludes: 'keys.create', fault: 'drop' });
    const made = await user.run(
      ['keys', 'create', '--name', 'once', '--role', 'viewer', '--all-environments', '--json'],
      { env },
    );
    expect([made.code, JSON.parse(made.stdout)]).toMatchObject([1, { error: { code: 'OutcomeUnknown' } }]);
    const { body } = await server.request('GET', '/keys?limit=200');
    expect((body['items'] as { name: string }[]).filter(({ name }) => name === 'once')).toHaveLength(1);
  } finally {
    await proxy.stop();
  }
});

test('Ctrl-C ends what follows, with 130', async () => {
  await loggedIn();
  const child = user.start(['runs', '--follow']);
  await waitFor('it to follow', () => user.said.includes('Following runs'));
  child.kill('SIGINT');
  expect(await resultOf(child)).toMatchObject({ code: 130 });
});

test('a reader that has seen enough breaks nothing', async () => {
  await loggedIn();
  const child = user.start(['audit', '--all']);
  child.stdout?.destroy();
  const [code] = (await once(child, 'exit')) as [number | null];
  expect(code).toBe(0);
});

describe('with a certificate of an own authority', () => {
  let directory = '';
  let child: ChildProcess;
  let url = '';
  let secureKeyFile = '';

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'strideiq-tls-'));
    const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: directory, stdio: 'pipe' });
    const authority = ['-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=Own Authority', '-days', '2', '-nodes'];
    openssl('req', '-x509', '-newkey', 'rsa:2048', ...authority);
    openssl('req', '-newkey', 'rsa:2048', '-keyout', 'tls.key', '-out', 'tls.csr', '-subj', '/CN=localhost', '-nodes');
    writeFileSync(join(directory, 'ext'), 'subjectAltName=DNS:localhost\n');
    const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-out', 'tls.pem', '-days', '2'];
    openssl('x509', '-req', '-in', 'tls.csr', ...signed, '-extfile', 'ext');
    const port = await freePort();
    const env = {
      ...process.env,
      STRIDEIQ_LISTEN: `127.0.0.1:${port}`,
      STRIDEIQ_DATA_DIR: join(directory, 'data'),
      STRIDEIQ_TLS_CERT: join(directory, 'tls.pem'),
      STRIDEIQ_TLS_KEY: join(directory, 'tls.key'),
    };
    child = spawn(process.execPath, [controlPlaneProgram, 'serve'], { env, stdio: 'ignore' });
    url = `https://localhost:${port}`;
    secureKeyFile = join(directory, 'data/admin.key');
    await waitFor('it to listen', async () => runProgram('curl', ['-sfk', `${url}/readyz`]).catch(() => undefined));
  });
  afterAll(async () => {
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    await exited;
    rmSync(directory, { recursive: true, force: true });
  });

  test('it is trusted once it is named, and remembered by login', async () => {
    const login = ['login', '--url', url, '--key-file', secureKeyFile];
    const stranger = await user.run([...login, '--json']);
    expect([stranger.code, JSON.parse(stranger.stdout)]).toMatchObject([
      1,
      { error: { code: 'CertificateUntrusted' } },
    ]);
    await user.json(...login, '--ca', join(directory, 'ca.pem'));
    expect(await user.json('keys', 'list')).toMatchObject({ items: [{ role: 'admin' }] });
    writeFileSync(join(directory, 'not.pem'), 'no certificate\n');
    const wrong = await user.run(['keys', 'list', '--ca', join(directory, 'not.pem'), '--json']);
    expect(JSON.parse(wrong.stdout)).toMatchObject({ error: { code: 'FileUnusable' } });
    expect(user.said).not.toContain(readFileSync(secureKeyFile, 'utf8').trim());
  });
});

test.each(['bash', 'zsh', 'fish'])('completion %s prints a script', async (shell) => {
  const { code, stdout } = await user.run(['completion', shell]);
  expect(code).toBe(0);
  expect(stdout).toContain('enroll-token');
});
