import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { ConfigurationInvalid } from '@strideiq/configuration';
import { storesOf } from './schema.ts';
import { resolveConnection } from './secrets.ts';
import { configurationFromArguments } from './without-file.ts';

const databaseUrl = 'postgres://ada@db.example.com:6000/running_app';

async function problemsOf(...args: Parameters<typeof configurationFromArguments>): Promise<string[]> {
  const error = await configurationFromArguments(...args).catch((cause: unknown) => cause);
  if (!(error instanceof ConfigurationInvalid)) throw new Error('it was taken', { cause: error });
  return error.problems.map(({ key }) => key);
}

describe('configurationFromArguments', () => {
  it('makes a directory store of --backup-dir', async () => {
    const configuration = await configurationFromArguments({ databaseUrl, backupDir: 'backups' }, {});
    const { running_app: database } = configuration.databases;
    expect(configuration).toMatchObject({ environment: 'default', warnings: [] });
    expect(database).toMatchObject({ name: 'running_app', stores: ['local'], dump: { compressionLevel: 4 } });
    if (database === undefined) return;
    expect(storesOf(configuration, database)).toEqual([{ name: 'local', type: 'directory', path: resolve('backups') }]);
    const { connection } = database;
    const found = await resolveConnection(connection, { PGPASSWORD: 'p' });
    expect(found).toMatchObject({
      host: 'db.example.com',
      port: 6000,
      user: 'ada',
      database: 'running_app',
      password: 'p',
    });
  });

  it.each([
    ['strideiq-backups', 'backups/running_app/'],
    ['s3://strideiq-backups', 'backups/running_app/'],
    ['s3://strideiq-backups/', 'backups/running_app/'],
    ['s3://strideiq-backups/mine', 'mine/'],
    ['strideiq-backups/{environment}/{database}', 'default/running_app/'],
  ])('makes an S3 store of --s3 %s', async (s3, prefix) => {
    const env = { AWS_REGION: 'eu-west-1', AWS_ENDPOINT_URL: 'https://minio.example.com' };
    const configuration = await configurationFromArguments({ databaseUrl, s3 }, env);
    const [database] = Object.values(configuration.databases);
    if (database === undefined) throw new Error('no database');
    expect(storesOf(configuration, database)).toEqual([
      {
        name: 's3',
        type: 's3',
        bucket: 'strideiq-backups',
        prefix,
        region: 'eu-west-1',
        endpoint: env.AWS_ENDPOINT_URL,
      },
    ]);
  });

  it('keeps both where both are named', async () => {
    const configuration = await configurationFromArguments({ databaseUrl, backupDir: '/b', s3: 'bucket' }, {});
    expect(configuration.databases['running_app']?.stores).toEqual(['local', 's3']);
  });

  it('takes a password in the URL, warns of it, and shows it to nobody', async () => {
    const url = 'postgres://ada:hunter2@h/app';
    const configuration = await configurationFromArguments({ databaseUrl: url, backupDir: '/b' }, {});
    expect(configuration.warnings.join()).toMatch(/process list.*PGPASSWORD.*--database-url-file/);
    expect(inspect(configuration, { depth: 9 }) + JSON.stringify(configuration)).not.toContain('hunter2');
    const { app } = configuration.databases;
    const found = await resolveConnection(app?.connection ?? {}, {});
    expect(found).toMatchObject({ password: 'hunter2', secrets: ['hunter2'] });
  });

  it('takes a password in the URL’s file without a warning', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'strideiq-url-'));
    try {
      const databaseUrlFile = join(directory, 'url');
      await writeFile(databaseUrlFile, 'postgres://ada:hunter2@h/app\n', { mode: 0o600 });
      const configuration = await configurationFromArguments({ databaseUrlFile, backupDir: '/b' }, {});
      expect(configuration.warnings).toEqual([]);
      const found = await resolveConnection(configuration.databases['app']?.connection ?? {}, {});
      expect(found).toMatchObject({ host: 'h', password: 'hunter2' });
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });

  it('goes by PG* variables where no URL is given', async () => {
    const configuration = await configurationFromArguments({ backupDir: '/b' }, { PGDATABASE: 'app' });
    expect(Object.keys(configuration.databases)).toEqual(['app']);
  });

  it('keeps databases apart whose names are made safe', async () => {
    const nameOf = async (name: string): Promise<string> => {
      const args = { databaseUrl: `postgres://h/${encodeURIComponent(name)}`, backupDir: '/b' };
      return Object.keys((await configurationFromArguments(args, {})).databases).join();
    };
    expect(await nameOf('a_b')).toBe('a_b');
    expect(await nameOf('a b')).toMatch(/^a_b-[0-9a-f]{6}$/);
    expect(await nameOf('a/b')).toMatch(/^a_b-/);
    expect(await nameOf('a b')).not.toBe(await nameOf('a/b'));
    expect(await nameOf('日本')).toMatch(/^database-[0-9a-f]{6}$/);
  });

  it('tells every argument that is wrong', async () => {
    expect(await problemsOf({ databaseUrl }, {})).toEqual(['']);
    expect(
      await problemsOf({ databaseUrl: 'mysql://h/d', s3: 's3://', environment: 'a b', backupDir: '' }, {}),
    ).toEqual(['--database-url', '--environment', '--backup-dir', '--s3']);
    expect(await problemsOf({ databaseUrl, s3: 'bucket' }, { AWS_ENDPOINT_URL: 'minio' })).toEqual([
      'AWS_ENDPOINT_URL',
    ]);
    expect(await problemsOf({ databaseUrl, s3: 'my bucket' }, {})).toEqual(['--s3']);
  });
});
