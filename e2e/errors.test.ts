import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { freePort, startPostgres, type PostgresCluster } from '@strideiq/testkit';
import { AgentHost, type AgentResult, type HostOptions } from './agent-host.ts';
import { runUnder } from './agent-under.ts';
import { ownS3 } from './own-s3.ts';

let cluster: PostgresCluster;
const hosts: AgentHost[] = [];
beforeAll(async () => {
  cluster = await startPostgres({ authentication: 'scram' });
  await cluster.createDatabase('app');
  await cluster.query('app', 'CREATE TABLE runner (id int); INSERT INTO runner VALUES (1)');
  // What does not get smaller by compression.
  await cluster.createDatabase('large');
  await cluster.query(
    'large',
    `CREATE TABLE noise (bytes bytea); ALTER TABLE noise ALTER bytes SET STORAGE EXTERNAL;
     INSERT INTO noise SELECT decode(string_agg(md5(n::text || k), ''), 'hex') FROM generate_series(1, 800) AS n, generate_series(1, 625) AS k GROUP BY n`,
  );
});
afterEach(() => {
  for (const host of hosts.splice(0)) host.remove();
});
afterAll(async () => {
  await cluster.stop();
});

function hostOf(options: Partial<HostOptions> = {}): AgentHost {
  const host = new AgentHost({ cluster, database: 'app', ...options });
  hosts.push(host);
  return host;
}

/** An error as a person reads it, and a program. */
interface Told {
  exitCode: number | undefined;
  code: string;
  text: string;
}

/**
 * What a command that failed has told: the text on standard error, the code in the JSON on standard output.
 * @throws Error where the two do not say the same, or something was printed by accident
 */
function told({ code: exitCode, stdout, stderr }: AgentResult): Told {
  const { error } = JSON.parse(stdout) as { error: { code: string; message: string } };
  const [head = ''] = error.message.split('\n');
  if (!stderr.includes(`error: ${head}`)) throw new Error(`JSON says ${head}, standard error ${stderr}`);
  if (/^ {4}at |\[object|undefined|Unexpected/m.test(stderr)) throw new Error(`this is for nobody to read: ${stderr}`);
  return { exitCode, code: error.code, text: stderr };
}

const error = (exitCode: number, code: string, words: RegExp): Told => ({
  exitCode,
  code,
  text: expect.stringMatching(words) as string,
});

/** Nothing of a failed run is left in the store, or on the server. */
async function expectNothingLeft(host: AgentHost): Promise<void> {
  expect(host.files().filter((name) => name !== 'strideiq-owner.json')).toEqual([]);
  expect(
    await cluster.query(
      'postgres',
      "SELECT datname AS name FROM pg_database WHERE datname LIKE 'strideiq%' UNION ALL SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'strideiq%'",
    ),
  ).toEqual([]);
}

describe('a server that cannot be used', () => {
  it.each<[string, () => Promise<Partial<HostOptions>> | Partial<HostOptions>, string, RegExp]>([
    [
      'a wrong password',
      () => ({ connection: { passwordFile: undefined, passwordEnv: 'WRONG' }, env: { WRONG: 'not the password' } }),
      'LoginRefused',
      /refused the login postgres@127\.0\.0\.1:\d+\/app: password authentication failed.*correct it where it is kept/,
    ],
    [
      'no password',
      () => ({ connection: { passwordFile: undefined } }),
      'LoginRefused',
      /asks for a password.*name a `passwordFile`.*PGPASSWORD/,
    ],
    [
      'a missing database',
      () => ({ connection: { database: 'nowhere' } }),
      'DatabaseMissing',
      /no database "nowhere" at 127\.0\.0\.1:\d+.*psql -l.*connection\.database/,
    ],
    [
      'nobody at that port',
      async () => ({ connection: { port: await freePort() } }),
      'ServerUnreachable',
      /ECONNREFUSED.*server runs and listens.*pg_isready/,
    ],
    [
      'a host that no name server knows',
      () => ({ connection: { host: 'db.invalid' } }),
      'ServerUnreachable',
      /db\.invalid/,
    ],
    [
      'no pg_dump',
      () => ({ dump: { pgDump: '/nowhere' } }),
      'PgDumpMissing',
      /pg_dump was found in none of: \/nowhere.*postgresql-client-15.*dump\.pgDump/,
    ],
  ])('%s', async (_, options, code, words) => {
    const host = hostOf(await options());
    expect(told(await host.run('backup', '--json'))).toEqual(error(1, code, words));
    await expectNothingLeft(host);
  });

  it('a newer server than pg_dump', async () => {
    const newer = await startPostgres({ major: 18 });
    try {
      const host = hostOf({ cluster: newer, database: 'postgres', dump: { pgDump: cluster.clientDir } });
      expect(told(await host.run('backup', '--json'))).toEqual(
        error(
          1,
          'PgDumpTooOld',
          /server is PostgreSQL 18.*newest pg_dump here is 15.*Install the PostgreSQL 18 client/,
        ),
      );
      expect(host.files()).toEqual([]);
    } finally {
      await newer.stop();
    }
  });

  it('a role that may not log in, and one that may not enter the database', async () => {
    await cluster.query('postgres', `CREATE ROLE sleeper PASSWORD 'x'; CREATE ROLE outsider LOGIN PASSWORD 'x'`);
    await cluster.createDatabase('closed');
    await cluster.query('postgres', 'REVOKE CONNECT ON DATABASE closed FROM PUBLIC');
    const as = (user: string, database: string) =>
      hostOf({ connection: { user, database, passwordFile: undefined, passwordEnv: 'SECRET' }, env: { SECRET: 'x' } });
    expect(told(await as('sleeper', 'app').run('backup', '--json'))).toEqual(
      error(1, 'LoginRefused', /not permitted to log in.*ALTER ROLE "sleeper" LOGIN;/),
    );
    expect(told(await as('outsider', 'closed').run('backup', '--json'))).toEqual(
      error(1, 'PrivilegeMissing', /GRANT CONNECT ON DATABASE "closed" TO "outsider";/),
    );
  });
});

describe('a store that cannot be used', () => {
  /** In a mount namespace of its own, which ends with the command. */
  const onDiskOf = async (size: string, host: AgentHost): Promise<AgentResult> => {
    const own = process.getuid?.() === 0 ? [] : ['--map-root-user'];
    const script = `mount -t tmpfs -o size=${size} none "${host.backupDirectory}" || exit 99; "$@"; code=$?; ls -A "${host.backupDirectory}" >&2; exit $code`;
    return runUnder(['unshare', ...own, '--mount', 'sh', '-c', script, 'sh'], host, ['backup', '--json']);
  };

  it('a disk too small for what is to be expected', async () => {
    const result = await onDiskOf('512k', hostOf({ database: 'large' }));
    expect(told(result)).toEqual(
      error(1, 'NoCopyStored', /local: .*free, and the next backup needs about .*Make room there/),
    );
  });

  it('a disk that runs full', async () => {
    const result = await onDiskOf('4m', hostOf({ database: 'large' }));
    expect(told(result)).toEqual(error(1, 'NoCopyStored', /local: .*the disk is full.*Free space there/));
    expect(result.stderr.trim().split('\n').at(-1)).toBe('strideiq-owner.json');
  });

  it('a directory that may not be written', async () => {
    const host = hostOf();
    chmodSync(host.backupDirectory, 0o500);
    // Root without its capabilities is bound by permissions as everybody is, and still reads this clone.
    const bound = process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-all', '--inh-caps=-all'] : [];
    const result = await runUnder(bound, host, ['backup', '--json']);
    expect(told(result)).toEqual(error(1, 'NoCopyStored', /local: .*may not \(EACCES\).*Give that user the folder/));
    expect(host.files()).toEqual([]);
  });

  describe('in S3', () => {
    const s3 = ownS3('backups');

    it('an unknown bucket, beside a directory that keeps its copy', async () => {
      const host = hostOf({ s3: { server: s3(), endpoint: s3().endpoint, bucket: 'nowhere' } });
      const { code, stdout, stderr } = await host.run('backup', '--json');
      expect([code, stderr]).toEqual([
        1,
        expect.stringMatching(/the copy in s3 .*no such bucket.*Create it, or correct bucket/),
      ]);
      const { copies } = JSON.parse(stdout) as { copies: { store: string; state: string; errorCode?: string }[] };
      expect(copies).toMatchObject([
        { store: 'local', state: 'stored' },
        { store: 's3', state: 'failed', errorCode: 'BucketMissing' },
      ]);
    });

    it.each<[string, { accessKey?: string; secretKey?: string }, string, RegExp]>([
      ['a wrong secret', { secretKey: 'wrong' }, 'CredentialsInvalid', /access key or its secret is not right/],
      ['an unknown key', { accessKey: 'nobody' }, 'CredentialsInvalid', /access key or its secret is not right/],
    ])('%s', async (_, wrong, __, words) => {
      const { endpoint, accessKey, secretKey } = s3();
      const server = { region: 'us-east-1' as const, accessKey, secretKey, ...wrong };
      const host = hostOf({ s3: { server, endpoint, bucket: 'backups' }, stores: ['s3'] });
      expect(told(await host.run('backup', '--json'))).toEqual(error(1, 'NoCopyStored', words));
    });
  });

  it('a prefix that belongs to another database', async () => {
    const host = hostOf();
    await host.json('backup');
    const other = hostOf({ database: 'large' });
    const path = JSON.stringify(other.backupDirectory);
    writeFileSync(
      other.configurationFile,
      readFileSync(other.configurationFile, 'utf8').replace(path, JSON.stringify(host.backupDirectory)),
    );
    const before = host.files();
    expect(told(await other.run('backup', '--json'))).toEqual(
      error(
        1,
        'NoCopyStored',
        /belongs to database app of environment test.*Give this database a path or prefix of its own/,
      ),
    );
    expect(host.files()).toEqual(before);
  });
});

describe('a role that lacks a right', () => {
  const lacks: Record<string, [string, RegExp]> = {
    schema: [
      'CREATE SCHEMA closed; CREATE TABLE closed.t (id int); GRANT SELECT ON closed.t TO reader',
      /schema closed.*GRANT USAGE ON SCHEMA closed TO reader;/,
    ],
    table: [
      'CREATE TABLE "Secret; table" (id int)',
      /table public\."Secret; table".*GRANT SELECT ON public\."Secret; table" TO reader;/,
    ],
    'many tables': [
      "DO $$ BEGIN FOR n IN 1..30 LOOP EXECUTE format('CREATE TABLE t%s (id serial)', n); END LOOP; END $$",
      /and 55 more.*GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;/,
    ],
    sequence: [
      'CREATE SEQUENCE counter',
      /sequence public\.counter.*GRANT SELECT ON SEQUENCE public\.counter TO reader;/,
    ],
    'row-level security': [
      'CREATE TABLE own (id int); ALTER TABLE own ENABLE ROW LEVEL SECURITY; GRANT SELECT ON own TO reader',
      /all rows of public\.own \(row-level security\).*ALTER ROLE reader BYPASSRLS;/,
    ],
    'large object': [
      "SELECT lo_from_bytea(4711, 'x')",
      /large object 4711.*GRANT SELECT ON LARGE OBJECT 4711 TO reader;/,
    ],
  };

  beforeAll(async () => {
    await cluster.query('postgres', "CREATE ROLE reader LOGIN PASSWORD 'reader''s'");
  });

  it.each(Object.keys(lacks))('%s: the statements that the error names make the backup work', async (what) => {
    const [sql, words] = lacks[what] ?? ['', /nothing/];
    await cluster.createDatabase('rights');
    try {
      await cluster.query('rights', sql);
      const host = hostOf({
        database: 'rights',
        connection: { user: 'reader', passwordFile: undefined, passwordEnv: 'SECRET' },
        env: { SECRET: "reader's" },
      });
      const refused = await host.run('backup', '--json');
      expect(told(refused)).toEqual(error(1, 'PrivilegeMissing', words));
      expect(host.files()).toEqual([]);
      const [, statements = ''] = /As a superuser run: (.*?)(?: In place of|$)/m.exec(refused.stderr) ?? [];
      await cluster.query('rights', statements);
      expect(await host.run('backup')).toMatchObject({ code: 0 });
    } finally {
      await cluster.dropDatabase('rights');
      await cluster.query('postgres', 'ALTER ROLE reader NOBYPASSRLS');
    }
  });
});

describe('a restore that cannot be', () => {
  let host: AgentHost;
  beforeAll(async () => {
    host = new AgentHost({ cluster, database: 'app' });
    await host.json('backup');
  });
  afterAll(() => {
    host.remove();
  });

  it.each<[string, string[], number, string, RegExp]>([
    [
      'into a database that is there',
      ['restore', 'latest', '--into', 'large'],
      1,
      'TargetExists',
      /already a database "large".*--into/,
    ],
    ['into a name of 64 bytes', ['restore', 'latest', '--into', 'é'.repeat(32)], 2, 'TargetInvalid', /1 to 63 bytes/],
    ['into nothing', ['restore', 'latest'], 2, 'UsageInvalid', /--into NAME/],
    [
      'of an unknown name',
      ['restore', 'app_20200101_000000', '--into', 'x'],
      3,
      'BackupNotFound',
      /No backup "app_20200101_000000" was found in \/.*newest one is app_\d+_\d+/,
    ],
    ['of an unknown id', ['verify', '01a207d7-aea0-721e-8205-2f1c8a477144'], 3, 'BackupNotFound', /newest one is/],
    [
      'of a path where nothing is',
      ['show', '/nowhere/app_20200101_000000.sql.gz'],
      3,
      'BackupNotFound',
      /No backup "\/nowhere/,
    ],
  ])('%s', async (_, args, exitCode, code, words) => {
    expect(told(await host.run(...args, '--json'))).toEqual(error(exitCode, code, words));
    expect(
      await cluster.query('postgres', "SELECT FROM pg_database WHERE datname LIKE 'strideiq%' OR datname = 'x'"),
    ).toEqual([]);
  });

  it('by a role that may not create databases', async () => {
    await cluster.query('postgres', "CREATE ROLE modest LOGIN PASSWORD 'x'");
    const modest = hostOf({
      connection: { user: 'modest', passwordFile: undefined, passwordEnv: 'SECRET' },
      env: { SECRET: 'x' },
    });
    const file = host.path(host.files().find((name) => /^app_\d+_\d+\.sql\.gz$/.test(name)) ?? '');
    expect(told(await modest.run('restore', file, '--into', 'x', '--json'))).toEqual(
      error(1, 'PrivilegeMissing', /ALTER ROLE "modest" CREATEDB;/),
    );
  });
});

describe('what was typed or written wrong', () => {
  it.each<[string, string[], RegExp]>([
    ['an unknown command', ['bakup'], /unknown command 'bakup'\n.*Did you mean backup/],
    ['an unknown option', ['backup', '--verfy'], /unknown option '--verfy'\n.*Did you mean --verify/],
    ['a missing REF', ['verify'], /missing required argument 'ref'/],
    ['an unknown store', ['backup', '--store', 'tape'], /app has no store "tape".*It has: local/],
    ['an unknown database', ['backup', 'nowhere'], /no database "nowhere" in .*agent\.yaml.*It holds: app/],
    ['two sources of configuration', ['backup', '--backup-dir', '/b'], /Both --config and .* Use one of the two/],
  ])('%s', async (_, args, words) => {
    expect(told(await hostOf().run(...args, '--json'))).toEqual(error(2, 'UsageInvalid', words));
  });

  it.each<[string, string, RegExp]>([
    ['no YAML', 'version: 1\n  stores: [', /agent\.yaml:2:/],
    ['a key that nobody knows', 'version: 1\nstoers: {}\n', /:2:1: stoers: is no key that is known here.*stores/],
    [
      'a secret in the file',
      'version: 1\nenvironment: t\nstores: {a: {type: directory, path: /b}}\ndatabases:\n  app:\n    stores: [a]\n    connection: {password: hunter2hunter2}\n',
      /:7:\d+: databases\.app\.connection\.password: is a secret.*passwordFile/,
    ],
    [
      'a store that is not there',
      'version: 1\nenvironment: t\nstores: {a: {type: directory, path: /b}}\ndatabases: {app: {stores: [b]}}\n',
      /databases\.app\.stores\[0\]/,
    ],
    ['nothing', '', /holds no keys.*Begin with version: 1/],
  ])('a configuration with %s', async (_, yaml, words) => {
    const host = hostOf();
    writeFileSync(host.configurationFile, yaml);
    const result = await host.run('backup', '--json');
    expect(told(result)).toEqual(error(2, 'ConfigurationInvalid', words));
    expect(result.stderr).not.toContain('hunter2');
  });

  it('a configuration that is not there, or is a directory', async () => {
    const host = hostOf();
    const missing = await host.startPlain('backup', '--json', '--config', join(host.directory, 'none.yaml')).result;
    expect(told(missing)).toEqual(
      error(2, 'ConfigurationMissing', /no configuration file .*none\.yaml.*--config FILE.*--database-url/),
    );
    mkdirSync(join(host.directory, 'dir.yaml'));
    const directory = await host.startPlain('backup', '--json', '--config', join(host.directory, 'dir.yaml')).result;
    expect(told(directory)).toEqual(error(2, 'ConfigurationUnreadable', /it is a directory/));
  });

  it('a state directory that is a file', async () => {
    const host = hostOf();
    writeFileSync(host.stateDirectory, '');
    expect(told(await host.run('backup', '--json'))).toEqual(
      error(1, 'StateUnusable', /state directory .* cannot be used.*stateDir/),
    );
  });
});
