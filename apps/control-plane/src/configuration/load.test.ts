import { ConfigurationInvalid } from '@strideiq/configuration';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readListen } from './listen.ts';
import { configurationJsonSchema, loadConfiguration } from './load.ts';

let directory = '';
let file = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'strideiq-configuration-'));
  file = join(directory, 'control-plane.yaml');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

async function load(text: string | undefined, env: NodeJS.ProcessEnv = {}) {
  if (text !== undefined) writeFileSync(file, text);
  return loadConfiguration(text === undefined ? undefined : file, env);
}

/** Line by line what is said of a configuration that cannot be used. */
async function problemsOf(text: string | undefined, env: NodeJS.ProcessEnv = {}): Promise<string[]> {
  const error: unknown = await load(text, env).catch((cause: unknown) => cause);
  if (!(error instanceof ConfigurationInvalid)) throw error;
  return error.message
    .replaceAll(`${file}:`, 'FILE:')
    .split('\n')
    .slice(1)
    .map((line) => line.trim());
}

test('nothing said: on loopback, in the place of this user', async () => {
  expect(await load(undefined, { STRIDEIQ_DATA_DIR: 'here' })).toEqual({
    listen: { host: '127.0.0.1', port: 8080 },
    dataDir: resolve('here'),
    trustedProxies: [],
    logLevel: 'info',
    rateLimit: { perKey: 6000, perAddress: 600 },
    stores: [],
    channels: {},
    allowPlainText: false,
  });
});

test('all of it in a file, whose paths go from where it is', async () => {
  const text = `version: 1
listen: 0.0.0.0:8443
dataDir: data
tlsCert: tls/cert.pem
tlsKey: /etc/key.pem
trustedProxies: [10.0.0.0/8, "::1"]
logLevel: warn
rateLimit: { perKey: 10 }
stores:
  - { bucket: strideiq-backups, prefix: /production, region: eu-west-1 }
  - bucket: other
    endpoint: https://s3.example.com
    credentials: { accessKeyIdFile: id, secretAccessKeyFile: secret }
publicUrl: https://backup.example.com
channels:
  mail:
    type: email
    smtp: { host: mail.example.com, user: strideiq, passwordFile: smtp.pass }
    from: backup@example.com
    to: [team@example.com]
    digest: { timezone: Europe/Berlin }
  slack: { type: slack, urlFile: slack.url, environments: [production], severity: critical }
`;
  expect(await load(text)).toEqual({
    listen: { host: '0.0.0.0', port: 8443 },
    dataDir: join(directory, 'data'),
    tls: { certFile: join(directory, 'tls/cert.pem'), keyFile: '/etc/key.pem' },
    trustedProxies: ['10.0.0.0/8', '::1'],
    logLevel: 'warn',
    rateLimit: { perKey: 10, perAddress: 600 },
    stores: [
      { bucket: 'strideiq-backups', prefix: 'production', region: 'eu-west-1' },
      {
        bucket: 'other',
        prefix: '',
        endpoint: 'https://s3.example.com',
        credentials: { accessKeyIdFile: join(directory, 'id'), secretAccessKeyFile: join(directory, 'secret') },
      },
    ],
    allowPlainText: false,
    publicUrl: 'https://backup.example.com',
    channels: {
      mail: {
        type: 'email',
        severity: 'warning',
        smtp: {
          host: 'mail.example.com',
          port: 587,
          tls: 'starttls',
          user: 'strideiq',
          passwordFile: join(directory, 'smtp.pass'),
        },
        from: 'backup@example.com',
        to: ['team@example.com'],
        digest: { schedule: '0 8 * * 1', timezone: 'Europe/Berlin' },
      },
      slack: {
        type: 'slack',
        severity: 'critical',
        environments: ['production'],
        urlFile: join(directory, 'slack.url'),
      },
    },
  });
});

test('the environment has the last word, and an empty variable says nothing', async () => {
  const env = {
    STRIDEIQ_LISTEN: '[::1]:9000',
    STRIDEIQ_DATA_DIR: '/srv/data',
    STRIDEIQ_LOG_LEVEL: '',
    STRIDEIQ_TRUSTED_PROXIES: '10.0.0.1, 10.0.0.2',
  };
  expect(await load('version: 1\nlisten: 127.0.0.1:1\ndataDir: data\nlogLevel: error\n', env)).toMatchObject({
    listen: { host: '::1', port: 9000 },
    dataDir: '/srv/data',
    logLevel: 'error',
    trustedProxies: ['10.0.0.1', '10.0.0.2'],
  });
});

test.each([
  ['{ type: slack }', 'must hold one of urlFile, urlEnv'],
  ['{ type: slack, urlFile: a, urlEnv: B }', 'must hold one of urlFile, urlEnv'],
  ['{ type: webhook, url: "ftp://x" }', 'Invalid URL'],
  ['{ type: webhook, url: "https://x", template: telegram }', 'telegram needs a chatId'],
  ['{ type: webhook, url: "https://x", template: ntfy }', 'ntfy needs a topic'],
  ['{ type: pagerDuty, routingKeyFile: a, rules: [noBackups] }', 'noBackup'],
  ['{ type: email, smtp: { host: m, password: x }, from: a@b.c, to: [a@b.c] }', 'password'],
  ['{ type: pigeon }', 'type'],
])('a channel that cannot be used is told: %s', async (channel, what) => {
  expect((await problemsOf(`version: 1\nchannels:\n  team: ${channel}\n`)).join(' ')).toContain(what);
});

test('the example holds every key', async () => {
  const example = join(import.meta.dirname, 'control-plane.example.yaml');
  expect((await loadConfiguration(example, {})).stores).toHaveLength(2);
  const text = readFileSync(example, 'utf8');
  const missing = Object.keys(configurationJsonSchema().properties ?? {}).filter((key) => !text.includes(`\n${key}:`));
  expect(missing).toEqual([]);
});

describe('plain text beyond this host', () => {
  const refused = /is beyond this host.*tlsCert and tlsKey.*STRIDEIQ_ALLOW_PLAIN_TEXT=1/;

  test.each(['0.0.0.0:8080', '[::]:8080', '10.0.0.5:80', 'backup.example.com:80'])('%s is refused', async (listen) => {
    expect(await problemsOf(undefined, { STRIDEIQ_LISTEN: listen })).toEqual([expect.stringMatching(refused)]);
    expect(await problemsOf(`version: 1\nlisten: "${listen}"\n`)).toEqual([
      expect.stringMatching(new RegExp(`^FILE:2:1: listen: ${refused.source}`)),
    ]);
  });

  test.each(['127.0.0.1:0', '[::1]:1', 'localhost:65535', '127.9.9.9:1'])('%s is this host', async (listen) => {
    expect(await load(undefined, { STRIDEIQ_LISTEN: listen })).toBeDefined();
  });

  test('is taken where it is named, wherever', async () => {
    const listen = '0.0.0.0:8080';
    for (const word of ['1', 'true', 'yes']) {
      expect(await load(undefined, { STRIDEIQ_LISTEN: listen, STRIDEIQ_ALLOW_PLAIN_TEXT: word })).toBeDefined();
    }
    expect(await load(`version: 1\nlisten: ${listen}\nallowPlainText: true\n`)).toBeDefined();
    expect(await load(`version: 1\nallowPlainText: true\n`, { STRIDEIQ_LISTEN: listen })).toBeDefined();
    expect(await load(`version: 1\ntlsCert: c\n`, { STRIDEIQ_LISTEN: listen, STRIDEIQ_TLS_KEY: 'k' })).toBeDefined();
    const word = { STRIDEIQ_ALLOW_PLAIN_TEXT: 'no' };
    expect(await problemsOf(`version: 1\nlisten: ${listen}\n`, word)).toHaveLength(1);
    expect(await problemsOf(undefined, { STRIDEIQ_ALLOW_PLAIN_TEXT: 'maybe' })).toEqual([
      'STRIDEIQ_ALLOW_PLAIN_TEXT: must be 1, true, 0 or false.',
    ]);
  });
});

describe('what is wrong is told with its line, its key and what would be right', () => {
  test.each([
    ['no version', 'listen: 127.0.0.1:1', /^FILE:1:1: version: is missing. It must be 1/],
    ['a misspelt key', 'version: 1\nlissten: 127.0.0.1:1', /^FILE:2:1: lissten: .*Did you mean "listen"/],
    ['a key like no other', 'version: 1\nzzzz: 1', /^FILE:2:1: zzzz: .*Known here: version, listen/],
    [
      'a port alone',
      'version: 1\nlisten: "8080"',
      /^FILE:2:1: listen: must be address and port, such as 127.0.0.1:8080/,
    ],
    ['a number', 'version: 1\nlisten: 8080', /^FILE:2:1: listen: must be text, not a number. Put it in quotes/],
    ['a port that is none', 'version: 1\nlisten: "127.0.0.1:70000"', /address and port/],
    ['a certificate alone', 'version: 1\ntlsCert: a', /^FILE:2:1: tlsCert: is of no use without its key/],
    ['a key alone', 'version: 1\ntlsKey: a', /^FILE:2:1: tlsKey: is of no use without its certificate/],
    ['a level', 'version: 1\nlogLevel: wern', /^FILE:2:1: logLevel: must be one of .*Did you mean "warn"/],
    [
      'a proxy',
      'version: 1\ntrustedProxies: [10.0.0.0/33]',
      /^FILE:2:18: trustedProxies\[0\]: must be addresses or networks/,
    ],
    [
      'a bucket with a path',
      'version: 1\nstores:\n  - bucket: s3://a/b',
      /^FILE:3:5: stores\[0\].bucket: must be a bucket by its name alone/,
    ],
    [
      'a secret',
      'version: 1\nstores:\n  - { bucket: abc, secretAccessKey: x }',
      /stores\[0\].secretAccessKey: is a secret.*secretAccessKeyFile/,
    ],
    ['a limit of none', 'version: 1\nrateLimit: { perKey: 0 }', /^FILE:2:14: rateLimit.perKey: must be at least 1/],
  ])('%s', async (_, text, said) => {
    expect(await problemsOf(text)).toEqual([expect.stringMatching(said)]);
  });

  test('all of it at once, in the order of the file, and of the environment by its own names', async () => {
    expect(await problemsOf('version: 2\nlisten: x\nlogLevel: y\n')).toHaveLength(3);
    expect(
      await problemsOf(undefined, { STRIDEIQ_LISTEN: 'x', STRIDEIQ_LOG_LEVEL: 'inf', STRIDEIQ_TRUSTED_PROXIES: 'y' }),
    ).toEqual([
      expect.stringMatching(/^STRIDEIQ_LISTEN: must be address and port/),
      expect.stringMatching(/^STRIDEIQ_TRUSTED_PROXIES: must be addresses/),
      expect.stringMatching(/^STRIDEIQ_LOG_LEVEL: must be one of .*Did you mean "info"/),
    ]);
    expect(await problemsOf(undefined, { STRIDEIQ_TLS_CERT: 'x' })).toEqual([
      expect.stringMatching(/^STRIDEIQ_TLS_CERT: is of no use without its key/),
    ]);
  });

  test('a file that is not there', async () => {
    await expect(loadConfiguration(join(directory, 'none.yaml'), {})).rejects.toThrow(/There is no configuration file/);
    await expect(loadConfiguration(directory, {})).rejects.toThrow(/it is a directory/);
  });
});

test('every key is described, for editors', () => {
  const { properties = {} } = configurationJsonSchema();
  expect(Object.keys(properties)).toContain('stores');
  for (const [key, { description }] of Object.entries(properties))
    expect([key, description]).toEqual([key, expect.any(String)]);
});

test.each([
  ['127.0.0.1:8080', { host: '127.0.0.1', port: 8080 }],
  ['[2001:db8::1]:1', { host: '2001:db8::1', port: 1 }],
  ['a.example:0', { host: 'a.example', port: 0 }],
  ['2001:db8::1:80', undefined],
  [':80', undefined],
  ['host', undefined],
  ['host:', undefined],
  ['http://host:80', undefined],
  ['host:99999', undefined],
])('readListen(%j)', (text, expected) => expect(readListen(text)).toEqual(expected));
