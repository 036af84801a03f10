import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SecretText } from './secret-text.ts';
import { resolveS3Credentials } from '@strideiq/configuration';
import { resolveConnection } from './secrets.ts';

let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'strideiq-secrets-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function written(name: string, text: string): Promise<string> {
  await writeFile(join(directory, name), text, { mode: 0o600 });
  return join(directory, name);
}

describe('resolveConnection', () => {
  it('is psql’s own when nothing is said', async () => {
    const { username } = userInfo();
    await expect(resolveConnection({}, {})).resolves.toEqual({
      host: 'localhost',
      port: 5432,
      user: username,
      database: username,
      secrets: [],
    });
  });

  it('reads PG* variables', async () => {
    const env = {
      PGHOST: '/run/pg',
      PGPORT: '5433',
      PGUSER: 'ada',
      PGDATABASE: 'app',
      PGPASSWORD: 'p w',
      PGSSLMODE: 'require',
    };
    await expect(resolveConnection({}, env)).resolves.toEqual({
      host: '/run/pg',
      port: 5433,
      user: 'ada',
      database: 'app',
      password: 'p w',
      sslmode: 'require',
      secrets: ['p w', 'p%20w'],
    });
  });

  it('puts the file’s own keys before its environment', async () => {
    const passwordFile = await written('pg.pass', 'from file\n');
    const connection = { host: 'db', port: 6000, user: 'bob', database: 'x', passwordFile };
    const env = { PGHOST: 'other', PGPORT: '1', PGUSER: 'ada', PGDATABASE: 'y', PGPASSWORD: 'env' };
    const resolved = await resolveConnection(connection, env);
    expect(resolved).toMatchObject({ host: 'db', port: 6000, user: 'bob', database: 'x', password: 'from file' });
  });

  it('takes one newline from the end of a password and nothing else', async () => {
    const passwordFile = await written('pg.pass', '  p\n\n');
    expect((await resolveConnection({ passwordFile }, {})).password).toBe('  p\n');
    const windows = await written('pg2.pass', 'p\r\n');
    expect((await resolveConnection({ passwordFile: windows }, {})).password).toBe('p');
  });

  it('reads a changed password at the next use', async () => {
    const passwordFile = await written('pg.pass', 'one');
    expect((await resolveConnection({ passwordFile }, {})).password).toBe('one');
    await written('pg.pass', 'two');
    expect((await resolveConnection({ passwordFile }, {})).password).toBe('two');
  });

  it.each([
    [
      'postgres://u:p%40ss@h:6000/d?sslmode=verify-full',
      { host: 'h', port: 6000, user: 'u', password: 'p@ss', database: 'd', sslmode: 'verify-full' },
    ],
    ['postgresql+psycopg://u:p@h/d', { host: 'h', user: 'u', password: 'p', database: 'd' }],
    [
      'postgresql:///d?host=/run/pg&port=7000&user=u&password=p',
      { host: '/run/pg', port: 7000, user: 'u', password: 'p', database: 'd' },
    ],
    ['postgresql://%2Frun%2Fpg/my%20db', { host: '/run/pg', database: 'my db' }],
    ['postgres://[::1]:6000/d?options=-c%20a%3Db', { host: '::1', port: 6000, options: '-c a=b' }],
    ['postgres://h', { host: 'h', database: 'key' }],
  ])('takes %s from a file apart', async (url, expected) => {
    const urlFile = await written('url', `${url}\n`);
    await expect(resolveConnection({ urlFile, fallbackDatabase: 'key' }, {})).resolves.toMatchObject(expected);
    const fromEnv = await resolveConnection({ urlEnv: 'DATABASE_URL', fallbackDatabase: 'key' }, { DATABASE_URL: url });
    expect(fromEnv).toMatchObject(expected);
  });

  it.each([
    'mysql://h/d',
    'postgres://a,b/hunter2',
    'postgres://u:hunter2%@h/d',
    'hunter2',
    'postgres://h/d?port=0&password=hunter2',
  ])('refuses %s without repeating it', async (url) => {
    const error = await resolveConnection({ urlEnv: 'URL' }, { URL: url }).catch((cause: unknown) => cause as Error);
    expect(error).toMatchObject({ code: 'ConfigurationInvalid' });
    expect(inspect(error)).not.toContain('hunter2');
    expect(inspect(error)).toContain('$URL');
  });

  it('says which file is missing or empty, and how to make it', async () => {
    const missing = join(directory, 'none');
    await expect(resolveConnection({ passwordFile: missing }, {})).rejects.toMatchObject({
      code: 'SecretUnavailable',
      message: expect.stringContaining(missing) as unknown,
      cure: expect.stringContaining(`chmod 600 ${missing}`) as unknown,
    });
    const empty = await written('empty', '\n');
    await expect(resolveConnection({ passwordFile: empty }, {})).rejects.toThrow(
      `${empty}, which should hold the password, is empty`,
    );
  });

  it('says which variable is not set', async () => {
    await expect(resolveConnection({ passwordEnv: 'DB_PASSWORD' }, { DB_PASSWORD: '' })).rejects.toMatchObject({
      code: 'SecretUnavailable',
      message: expect.stringContaining('DB_PASSWORD') as unknown,
    });
  });

  it('leaves the password to pg and libpq where none is set', async () => {
    expect(await resolveConnection({ host: 'h' }, { PGPASSFILE: '/x' })).not.toHaveProperty('password');
  });
});

describe('resolveS3Credentials', () => {
  it('reads files and variables', async () => {
    const credentials = { accessKeyIdEnv: 'ID', secretAccessKeyFile: await written('s3', 'sec/ret\n') };
    await expect(resolveS3Credentials(credentials, { ID: 'AKIA' })).resolves.toEqual({
      credentials: { accessKeyId: 'AKIA', secretAccessKey: 'sec/ret' },
      secrets: ['sec/ret', 'sec%2Fret'],
    });
  });

  it('leaves all to the SDK where nothing is said, but knows what to keep out of logs', async () => {
    const env = { AWS_ACCESS_KEY_ID: 'AKIA', AWS_SECRET_ACCESS_KEY: 'hush' };
    await expect(resolveS3Credentials(undefined, env)).resolves.toEqual({ secrets: ['hush'] });
    await expect(resolveS3Credentials({ profile: 'backup' }, {})).resolves.toEqual({ profile: 'backup', secrets: [] });
  });
});

describe('SecretText', () => {
  it('gives itself out on demand alone', () => {
    const secret = new SecretText('hunter2');
    expect(secret.reveal()).toBe('hunter2');
    expect(
      [String(secret), JSON.stringify({ secret }), inspect({ secret }, { showHidden: true })].join(),
    ).not.toContain('hunter2');
  });
});
