import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConfigurationInvalid, type Problem } from '@strideiq/configuration';
import { loadConfiguration, parseConfiguration } from './load.ts';
import { storesOf } from './schema.ts';
import { least, wrong } from './wrong-configurations.test-cases.ts';
import { wrongDatabases } from './wrong-databases.test-cases.ts';

const whole = join(import.meta.dirname, 'agent.example.yaml');

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
    expect(configuration.controlPlane).toEqual({
      url: 'https://backup.example.com',
      allowPlainText: false,
      trustBackups: false,
    });
    expect(configuration.stores['s3']).toMatchObject({
      prefix: 'backups/',
      credentials: { secretAccessKeyFile: join(import.meta.dirname, 's3.secret') },
    });
    expect(database).toMatchObject({
      name: 'running_app',
      connection: { database: 'running_app', passwordFile: join(import.meta.dirname, 'pg.pass') },
      schedule: [{ cron: '0 3 * * *' }],
      jitterMs: 300_000,
      catchUp: false,
      dump: {
        lockWaitLimitMs: 30_000,
        hangLimitMs: 90_000,
        stallLimitMs: 60_000,
        snapshotAgeLimitMs: 5_400_000,
        compressionLevel: 1,
      },
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

  it('drills weekly where a place for it is named, and nothing else is said', () => {
    const scheduleOf = (drill: string) => {
      const { databases } = parseConfiguration(`${least}    drill: ${drill}\n`, 'agent.yaml');
      return databases['app']?.drill.schedule;
    };
    expect(['{}', '{ via: app }', '{ via: app, schedule: never }'].map(scheduleOf)).toEqual([
      undefined,
      '30 6 * * 0',
      undefined,
    ]);
    expect(scheduleOf('{ via: app, schedule: "0 4 * * *" }')).toBe('0 4 * * *');
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
    const configuration = { ...parsed, stateDir: '/', databases: {}, servers: {}, warnings: [] };
    expect(storesOf(configuration, database as never)).toEqual([
      { name: 'local', type: 'directory', path: '/b/production/web' },
    ]);
  });

  it('keeps what stands for all databases of a server apart', async () => {
    const file = join(directory, 'agent.yaml');
    const shared = least.replace('path: backups', 'path: "/b/{database}"');
    await writeFile(file, `${shared}  main:\n    include: all\n    exclude: [test_*]\n    stores: [local]\n`);
    const { databases, servers } = await loadConfiguration(file, {});
    expect(Object.keys(databases)).toEqual(['app']);
    expect(servers).toMatchObject({
      main: { name: 'main', exclude: ['test_*'], connection: { database: 'postgres' } },
    });
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

describe('a configuration that does not hold', () => {
  it.each([...wrong, ...wrongDatabases])('names line, key and cure of %s', (_, from, to, line, key, said) => {
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
