import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConfigurationInvalid, type Problem } from './errors.ts';
import { loadConfiguration, parseConfiguration } from './load.ts';
import { storesOf } from './schema.ts';

const whole = join(import.meta.dirname, 'agent.example.yaml');

const least = `version: 1
environment: production
stores:
  local: { type: directory, path: backups }
databases:
  app:
    stores: [local]
`;

let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'strideiq-configuration-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

function problemsOf(text: string): readonly Problem[] {
  try {
    parseConfiguration(text, 'agent.yaml');
  } catch (error) {
    if (error instanceof ConfigurationInvalid) return error.problems;
    throw error;
  }
  return [];
}

describe('a configuration that holds', () => {
  it('loads with every key of the contract', async () => {
    const configuration = await loadConfiguration(whole, {});
    const { running_app: database } = configuration.databases;
    expect(configuration.warnings).toEqual([]);
    expect(configuration.controlPlane).toEqual({ url: 'https://backup.example.com', allowPlainText: false });
    expect(configuration.stores['s3']).toMatchObject({
      prefix: 'backups/',
      credentials: { secretAccessKeyFile: join(import.meta.dirname, 's3.secret') },
    });
    expect(database).toMatchObject({
      name: 'running_app',
      connection: { database: 'running_app', passwordFile: join(import.meta.dirname, 'pg.pass') },
      schedule: ['0 3 * * *'],
      jitterMs: 300_000,
      catchUp: false,
      dump: { lockWaitLimitMs: 30_000, hangLimitMs: 90_000, snapshotAgeLimitMs: 5_400_000, compressionLevel: 1 },
      hooks: {
        beforeSwap: [['docker', 'compose', 'stop', 'api', 'worker']],
        afterSwap: [
          ['docker', 'compose', 'start', 'api'],
          ['docker', 'compose', 'start', 'worker'],
        ],
        afterRestore: [],
      },
      allow: ['backup', 'verify', 'restoreInPlace'],
    });
  });

  it('has defaults in the place of all that may be left out', async () => {
    const file = join(directory, 'agent.yaml');
    await writeFile(file, least);
    const configuration = await loadConfiguration(file, { HOME: '/home/ada', XDG_STATE_HOME: '/state' });
    expect(configuration.stateDir).toBe(process.getuid?.() === 0 ? '/var/lib/strideiq-agent' : '/state/strideiq-agent');
    expect(configuration.stores['local']).toEqual({ type: 'directory', path: join(directory, 'backups') });
    expect(configuration.databases['app']).toMatchObject({
      connection: { database: 'app' },
      schedule: [],
      timezone: 'UTC',
      jitterMs: 0,
      dump: { jobs: 'auto', compressionLevel: 4, exec: [], excludeTables: [] },
    });
    expect(configuration.databases['app']?.allow).not.toContain('restoreInPlace');
    expect(configuration.databases['app']?.allow).toContain('restoreFresh');
  });

  it('gives each database its own place in a shared store', () => {
    const text =
      least.replace('path: backups', 'path: "/b/{environment}/{database}"') + '  web:\n    stores: [local]\n';
    const parsed = parseConfiguration(text, 'agent.yaml');
    const database = { ...parsed.databases['web'], name: 'web' };
    const configuration = { ...parsed, stateDir: '/', databases: {}, warnings: [] };
    expect(storesOf(configuration, database as never)).toEqual([
      { name: 'local', type: 'directory', path: '/b/production/web' },
    ]);
  });

  it('takes anchors and aliases, and finds what is wrong behind one', () => {
    const shared = least.replace('stores: [local]', 'stores: &all [local]\n  web:\n    stores: *all');
    expect(problemsOf(shared.replace('path: backups', 'path: "/b/{database}"'))).toEqual([]);
    expect(problemsOf(shared.replace('[local]', '[lokal]')).map(({ key }) => key)).toEqual([
      'databases.app.stores[0]',
      'databases.web.stores[0]',
    ]);
  });

  it('warns of a secret that others can read', async () => {
    const file = join(directory, 'agent.yaml');
    const password = join(directory, 'pg.pass');
    await writeFile(
      file,
      least.replace('stores: [local]', 'connection: { passwordFile: pg.pass }\n    stores: [local]'),
    );
    await writeFile(password, 'hunter2\n', { mode: 0o600 });
    expect((await loadConfiguration(file, {})).warnings).toEqual([]);
    await chmod(password, 0o644);
    const [warning] = (await loadConfiguration(file, {})).warnings;
    expect(warning).toContain(`chmod 600 ${password}`);
  });
});

/** Replaces in the least configuration; what is wrong must be told at this line and key, with these words of cure. */
const wrong: [what: string, from: string, to: string, line: number, key: string, said: RegExp][] = [
  ['a version from the future', 'version: 1', 'version: 2', 1, 'version', /must be 1/],
  ['no version', 'version: 1\n', '', 1, 'version', /is missing. It must be 1/],
  ['a number for a name', 'production', '2024', 2, 'environment', /must be text, not a number.*quotes/],
  ['an empty key', 'production', '', 2, 'environment', /is empty.*leave the key out/],
  ['a name with a slash', 'production', 'eu/prod', 2, 'environment', /letters, digits/],
  ['a misspelt key', 'environment:', 'enviroment:', 2, 'enviroment', /Did you mean "environment"/],
  ['a key like no other', 'environment: p', 'zzzz: 1\nenvironment: p', 2, 'zzzz', /Known here: version, controlPlane/],
  ['a key given twice', 'environment: p', 'environment: a\nenvironment: p', 3, 'environment', /second time.*Keep one/],
  [
    'plain http to another host',
    'stores:\n  l',
    'controlPlane: { url: http://b.example.com }\nstores:\n  l',
    3,
    'controlPlane.url',
    /allowPlainText/,
  ],
  [
    'a control plane that is no URL',
    'stores:\n  l',
    'controlPlane: { url: backup }\nstores:\n  l',
    3,
    'controlPlane.url',
    /begins with https/,
  ],
  ['an unknown type of store', 'type: directory', 'type: directry', 4, 'stores.local.type', /Did you mean "directory"/],
  ['no type of store', 'type: directory, ', '', 4, 'stores.local.type', /missing.*one of directory, s3/],
  [
    'a key of the other type of store',
    'path: backups',
    'path: a, bucket: b',
    4,
    'stores.local.bucket',
    /Known here: type, path/,
  ],
  [
    'an unknown placeholder',
    'path: backups',
    'path: "/b/{databse}"',
    4,
    'stores.local.path',
    /Did you mean \{database\}/,
  ],
  [
    'a bucket with its scheme',
    'type: directory, path: backups',
    'type: s3, bucket: "s3://b/c"',
    4,
    'stores.local.bucket',
    /name alone/,
  ],
  [
    'an inline S3 key',
    'type: directory, path: backups',
    'type: s3, bucket: bbb, secretAccessKey: hunter2',
    4,
    'stores.local.secretAccessKey',
    /secretAccessKeyFile/,
  ],
  [
    'an inline S3 key among credentials',
    'type: directory, path: backups',
    'type: s3, bucket: bbb, credentials: { accessKeyId: hunter2 }',
    4,
    'stores.local.credentials.accessKeyId',
    /accessKeyIdFile/,
  ],
  [
    'half a pair of keys',
    'type: directory, path: backups',
    'type: s3, bucket: bbb, credentials: { accessKeyIdEnv: A }',
    4,
    'stores.local.credentials',
    /lacks secretAccessKeyFile/,
  ],
  [
    'a profile beside keys',
    'type: directory, path: backups',
    'type: s3, bucket: bbb, credentials: { accessKeyIdEnv: A, secretAccessKeyEnv: B, profile: c }',
    4,
    'stores.local.credentials.profile',
    /Keep one/,
  ],
  [
    'a key for no encryption',
    'type: directory, path: backups',
    'type: s3, bucket: bbb, sseKmsKeyId: k',
    4,
    'stores.local.sseKmsKeyId',
    /sse: aws:kms/,
  ],
  [
    'a class that must be thawed',
    'type: directory, path: backups',
    'type: s3, bucket: bbb, storageClass: DEEP_ARCHIVE',
    4,
    'stores.local.storageClass',
    /GLACIER_IR/,
  ],
  [
    'an endpoint without scheme',
    'type: directory, path: backups',
    'type: s3, bucket: bbb, endpoint: minio',
    4,
    'stores.local.endpoint',
    /https:\/\//,
  ],
  [
    'no database at all',
    'databases:\n  app:\n    stores: [local]',
    'databases: {}',
    5,
    'databases',
    /names no database/,
  ],
  ['a name that no object can have', '  app:', '  "my app":', 6, 'databases.my app', /letters, digits/],
  ['a database without a store', '[local]', '[]', 7, 'databases.app.stores', /at least one store/],
  ['a store that is not there', '[local]', '[lcal]', 7, 'databases.app.stores[0]', /Did you mean "local"/],
  ['a store like no other', '[local]', '[offsite]', 7, 'databases.app.stores[0]', /There are: local/],
  ['a store named twice', '[local]', '[local, local]', 7, 'databases.app.stores[1]', /twice/],
  ['text for a list', '[local]', 'local', 7, 'databases.app.stores', /must be a list, not text/],
  [
    'two databases in one place',
    '[local]',
    '[local]\n  web:\n    stores: [local]',
    9,
    'databases.web.stores[0]',
    /put \{database\} into stores\.local\.path/,
  ],
  [
    'two stores in one place',
    '  local: { type: directory, path: backups }\ndatabases:\n  app:\n    stores: [local]',
    '  local: { type: directory, path: b }\n  other: { type: directory, path: b/ }\ndatabases:\n  app:\n    stores: [local, other]',
    8,
    'databases.app.stores[1]',
    /twice into one place/,
  ],
  [
    'an inline password',
    '[local]',
    '[local]\n    connection: { password: hunter2 }',
    8,
    'databases.app.connection.password',
    /passwordFile/,
  ],
  [
    'a password in a URL',
    '[local]',
    '[local]\n    connection: { url: "postgres://u:hunter2@h/d" }',
    8,
    'databases.app.connection.url',
    /passwordFile or passwordEnv/,
  ],
  [
    'a password in a URL’s query',
    '[local]',
    '[local]\n    connection: { url: "postgres://u@h/d?password=hunter2" }',
    8,
    'databases.app.connection.url',
    /holds a password/,
  ],
  [
    'a URL that is none',
    '[local]',
    '[local]\n    connection: { url: "localhost/d" }',
    8,
    'databases.app.connection.url',
    /Write postgres:/,
  ],
  [
    'a URL with a parameter unknown to us',
    '[local]',
    '[local]\n    connection: { url: "postgres://h/d?foo=1" }',
    8,
    'databases.app.connection.url',
    /foo/,
  ],
  [
    'a host beside a URL',
    '[local]',
    '[local]\n    connection: { urlFile: f, host: h }',
    8,
    'databases.app.connection.host',
    /urlFile, which says it already/,
  ],
  [
    'two places for a password',
    '[local]',
    '[local]\n    connection: { passwordFile: f, passwordEnv: P }',
    8,
    'databases.app.connection.passwordEnv',
    /beside passwordFile/,
  ],
  [
    'a port out of range',
    '[local]',
    '[local]\n    connection: { port: 70000 }',
    8,
    'databases.app.connection.port',
    /at most 65535/,
  ],
  [
    'a port as text',
    '[local]',
    '[local]\n    connection: { port: "5432" }',
    8,
    'databases.app.connection.port',
    /a number, not text/,
  ],
  [
    'a wrong sslmode',
    '[local]',
    '[local]\n    connection: { sslmode: required }',
    8,
    'databases.app.connection.sslmode',
    /Did you mean "require"/,
  ],
  [
    'a cron line of four fields',
    '[local]',
    '[local]\n    schedule: 0 3 * *',
    8,
    'databases.app.schedule',
    /five fields.*it has 4/,
  ],
  [
    'an hour that is none',
    '[local]',
    '[local]\n    schedule: ["0 3 * * *", "0 24 * * *"]',
    8,
    'databases.app.schedule[1]',
    /hour "24"/,
  ],
  ['a cron line without quotes', '[local]', '[local]\n    schedule: * 3 * * *', 8, 'databases.app.schedule', /quotes/],
  [
    'a zone that is none',
    '[local]',
    '[local]\n    timezone: Europe/Berln',
    8,
    'databases.app.timezone',
    /Did you mean Europe\/Berlin/,
  ],
  ['an offset for a zone', '[local]', '[local]\n    timezone: "+02:00"', 8, 'databases.app.timezone', /IANA/],
  ['a duration without unit', '[local]', '[local]\n    jitter: 90', 8, 'databases.app.jitter', /30s, 5m/],
  ['yes for true', '[local]', '[local]\n    catchUp: yes', 8, 'databases.app.catchUp', /true or false, not text/],
  [
    'retention for a store not used',
    '[local]',
    '[local]\n    retention: { s3: { days: 1 } }',
    8,
    'databases.app.retention.s3',
    /Add it to stores/,
  ],
  [
    'retention without a rule',
    '[local]',
    '[local]\n    retention: { local: {} }',
    8,
    'databases.app.retention.local',
    /no rule/,
  ],
  [
    'no days at all',
    '[local]',
    '[local]\n    retention: { local: { days: 0 } }',
    8,
    'databases.app.retention.local.days',
    /at least 1/,
  ],
  [
    'half a day',
    '[local]',
    '[local]\n    retention: { local: { days: 1.5 } }',
    8,
    'databases.app.retention.local.days',
    /a whole number/,
  ],
  ['too many jobs', '[local]', '[local]\n    dump: { jobs: 65 }', 8, 'databases.app.dump.jobs', /at most 64/],
  [
    'a compression level that is none',
    '[local]',
    '[local]\n    dump: { compressionLevel: 0 }',
    8,
    'databases.app.dump.compressionLevel',
    /at least 1/,
  ],
  [
    'a command line in one word',
    '[local]',
    '[local]\n    dump: { exec: ["docker compose exec"] }',
    8,
    'databases.app.dump.exec',
    /Write \[docker, compose, exec\]/,
  ],
  [
    'a hook as text',
    '[local]',
    '[local]\n    hooks: { beforeSwap: "stop api" }',
    8,
    'databases.app.hooks.beforeSwap',
    /list of words/,
  ],
  [
    'a second hook in one word',
    '[local]',
    '[local]\n    hooks: { beforeSwap: [[a, b], ["c d"]] }',
    8,
    'databases.app.hooks.beforeSwap[1]',
    /Write \[c, d\]/,
  ],
  [
    'an action that is none',
    '[local]',
    '[local]\n    allow: [restoreInplace]',
    8,
    'databases.app.allow[0]',
    /Did you mean "restoreInPlace"/,
  ],
  ['a tab', '    stores: [local]', '\tstores: [local]', 7, 'databases.app', /does not take tabs/],
  ['a brace left open', 'path: backups }', 'path: backups', 5, 'databases', /close every bracket/],
  ['braces without quotes', 'path: backups', 'path: {database}/x', 4, 'stores.local', /in quotes/],
];

describe('a configuration that does not hold', () => {
  it.each(wrong)('names line, key and cure of %s', (_, from, to, line, key, said) => {
    expect(least).toContain(from);
    const problems = problemsOf(least.replace(from, to));
    expect(problems).toContainEqual(expect.objectContaining({ line, key: expect.stringContaining(key) as unknown }));
    const told = problems.filter((each) => each.line === line).map(({ what, cure }) => `${what}. ${cure}`);
    expect(told.join('\n')).toMatch(said);
    expect(JSON.stringify(problems)).not.toContain('hunter2');
  });

  it('tells all that is wrong in the order of the file, and that alone', () => {
    const text = least
      .replace('version: 1', 'version: 3')
      .replace('path: b', 'pth: b')
      .replace('[local]', '[local, s3]');
    const problems = problemsOf(text);
    expect(problems.map(({ line, key }) => `${line} ${key}`)).toEqual([
      '1 version',
      '4 stores.local.path',
      '4 stores.local.pth',
      '7 databases.app.stores[1]',
    ]);
    const error = new ConfigurationInvalid('/etc/strideiq/agent.yaml', problems);
    expect(error.paragraph).toContain('has 4 problems:\n  /etc/strideiq/agent.yaml:1:1: version: must be 1');
  });

  it.each([
    ['nothing', ''],
    ['a list', '- a'],
    ['one word', 'hello'],
  ])('says what a file that holds %s should begin with', (_, text) => {
    expect(problemsOf(text)).toMatchObject([{ line: 1, cure: 'Begin with version: 1.' }]);
  });

  it('says how to do without a file that is not there', async () => {
    await expect(loadConfiguration(join(directory, 'none.yaml'), {})).rejects.toMatchObject({
      code: 'ConfigurationMissing',
      cure: expect.stringContaining('--database-url') as unknown,
    });
  });

  it('says what is wrong with a file that cannot be read', async () => {
    await expect(loadConfiguration(directory, {})).rejects.toMatchObject({
      code: 'ConfigurationUnreadable',
      message: expect.stringContaining('it is a directory') as unknown,
    });
  });
});
