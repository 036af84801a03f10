import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fingerprint, freePort, run, startPostgres, type PostgresCluster } from '@strideiq/testkit';
import { AgentHost, agentProgram, type HostOptions } from './agent-host.ts';
import { NetworkNamespace } from './network-namespace.ts';
import { ownS3 } from './own-s3.ts';

interface BackupDocument {
  backupId: string;
  name: string;
  copies: { location: string; state: string }[];
}

let cluster: PostgresCluster;
let open: PostgresCluster;
beforeAll(async () => {
  [cluster, open] = await Promise.all([startPostgres({ authentication: 'scram' }), startPostgres()]);
  for (const each of [cluster, open]) {
    await each.createDatabase('app');
    await each.query(
      'app',
      'CREATE TABLE runner (id int PRIMARY KEY, name text); INSERT INTO runner SELECT n, md5(n::text) FROM generate_series(1, 5000) AS n',
    );
  }
});
afterAll(async () => {
  await Promise.all([cluster.stop(), open.stop()]);
});

async function expectRestored(where: PostgresCluster, into: string): Promise<void> {
  expect(await fingerprint(where, into)).toEqual(await fingerprint(where, 'app'));
  await where.dropDatabase(into);
}

describe('with no file at all', () => {
  let host: AgentHost;
  const json = async <T = Record<string, unknown>>(...args: string[]): Promise<T> => {
    const { code, stdout, stderr } = await host.startPlain(...args, '--state-dir', host.stateDirectory, '--json')
      .result;
    if (code !== 0) throw new Error(`${args.join(' ')}: ${stderr}`);
    return JSON.parse(stdout) as T;
  };

  it('backs up into a directory, and restores from it', async () => {
    host = new AgentHost({ cluster: open, database: 'app' });
    const from = ['--database-url', open.url('app'), '--backup-dir', host.backupDirectory];
    const { name } = await json<BackupDocument>('backup', ...from, '--verify');
    expect(await json('list', ...from)).toMatchObject({
      items: [{ name: name.replace('.sql.gz', ''), state: 'complete' }],
    });
    expect(await json('verify', 'latest', ...from)).toMatchObject({ copies: [{ state: 'verified' }] });
    await json('restore', 'latest', '--into', 'again', ...from);
    await expectRestored(open, 'again');
    expect(await json('doctor', ...from)).toMatchObject({ findings: expect.any(Array) as unknown[] });
    host.remove();
  });

  it('takes the password from PGPASSWORD, or from a file with the URL, and warns of one in the process list', async () => {
    host = new AgentHost({ cluster, database: 'app', env: { PGPASSWORD: cluster.password } });
    const plain = `postgresql://postgres@127.0.0.1:${cluster.port}/app`;
    await json('backup', '--database-url', plain, '--backup-dir', host.backupDirectory);
    const file = host.secretFile('database-url', cluster.url('app'));
    await json('backup', '--database-url-file', file, '--backup-dir', host.backupDirectory);
    const args = ['backup', '--database-url', cluster.url('app'), '--backup-dir', host.backupDirectory];
    const { code, stderr } = await host.startPlain(...args, '--state-dir', host.stateDirectory).result;
    expect([code, stderr]).toEqual([0, expect.stringMatching(/warning: The password in --database-url can be seen/)]);
    expect(stderr).not.toContain(cluster.password);
    host.remove();
  });

  describe('into S3', () => {
    const s3 = ownS3('backups');

    it('with AWS_* as usual, and by s3:// URLs', async () => {
      const { accessKey, secretKey, region, endpoint } = s3();
      host = new AgentHost({
        cluster: open,
        database: 'app',
        env: {
          AWS_ACCESS_KEY_ID: accessKey,
          AWS_SECRET_ACCESS_KEY: secretKey,
          AWS_REGION: region,
          AWS_ENDPOINT_URL: endpoint,
        },
      });
      const from = ['--database-url', open.url('app'), '--s3', 's3://backups/some/where'];
      const { name, copies } = await json<BackupDocument>('backup', ...from);
      expect(copies).toMatchObject([{ state: 'stored', location: 's3://backups/some/where/' }]);
      const url = `s3://backups/some/where/${name}`;
      expect(await json('verify', url, ...from)).toMatchObject({ copies: [{ state: 'verified' }] });
      expect(await json('list', ...from)).toMatchObject({ items: [{ state: 'complete' }] });
      await json('restore', url, '--into', 'again', ...from);
      await expectRestored(open, 'again');
      host.remove();
    });
  });
});

describe('every form of REF', () => {
  let host: AgentHost;
  let backup: BackupDocument;
  beforeAll(async () => {
    host = new AgentHost({ cluster, database: 'app' });
    backup = await host.json<BackupDocument>('backup');
  });
  afterAll(() => {
    host.remove();
  });

  it.each<[string, () => string]>([
    ['its id', () => backup.backupId],
    ['its name', () => backup.name.replace('.sql.gz', '')],
    ["its object's name", () => backup.name],
    ['a path', () => host.path(backup.name)],
    ['latest', () => 'latest'],
    ['the newest one by its fixed name', () => host.path('LATEST.sql.gz')],
  ])('%s', async (_, reference) => {
    expect(await host.json('show', reference())).toMatchObject({ backupId: backup.backupId, trusted: true });
    expect(await host.json('verify', reference())).toMatchObject({ copies: [{ state: 'verified', trusted: true }] });
  });

  it('each command tells people what it tells programs', async () => {
    const words: [string[], RegExp][] = [
      [['list'], /^TIME +NAME .*\n.*complete +local/],
      [['show', 'latest'], /^Backup app_\d+_\d+\.sql\.gz\n[^]*trusted +yes, by signature[^]*public\.runner +5,000/],
      [['verify', 'latest'], /^verified +app_[^]*5,000 rows of 1 tables: checksum, gzip, closing line/],
      [['doctor'], /^ok +app: connection: PostgreSQL answers[^]*ok +app: privileges/],
      [['backup'], /^Backup app_[^]*5,000 rows of 1 tables[^]*stored +local/],
      [['restore', 'latest', '--into', 'told'], /^Restored app_[^]* into told [^]*5,000 rows of 1 tables/],
    ];
    for (const [args, text] of words) {
      const { code, stdout } = await host.run(...args);
      expect([args[0], code, stdout]).toEqual([args[0], 0, expect.stringMatching(text)]);
    }
    await expectRestored(cluster, 'told');
  });

  it('the schema of the configuration is JSON Schema, and holds what the contract names', async () => {
    const { code, stdout } = await host.startPlain('config', 'schema').result;
    const schema = JSON.parse(stdout) as { $schema: string; properties: object };
    expect(code).toBe(0);
    expect(schema.$schema).toMatch(/json-schema\.org/);
    expect(Object.keys(schema.properties)).toEqual(
      expect.arrayContaining(['version', 'controlPlane', 'environment', 'stateDir', 'stores', 'databases']),
    );
  });

  it.each(['backup', 'list', 'show', 'verify', 'restore', 'doctor', 'config'])(
    '%s --help says how it is used',
    async (name) => {
      const { code, stdout, stderr } = await host.startPlain(name, '--help').result;
      expect([code, stderr]).toEqual([0, '']);
      expect(stdout).toMatch(new RegExp(`^Usage: strideiq-agent ${name} `));
      expect(stdout).toMatch(name === 'config' ? /schema/ : /--config <file>[^]*--json/);
    },
  );

  it('progress is a bar on a terminal', async () => {
    // A single string for a shell is what `script` takes; its words are given as its parameters.
    const quote = (word: string): string => `'${word.replaceAll("'", String.raw`'\''`)}'`;
    const command = [process.execPath, agentProgram, 'backup', '--config', host.configurationFile];
    const { stdout } = await run('script', ['-qec', command.map(quote).join(' '), '/dev/null']);
    expect(stdout).toContain('\r\u{1B}[2KDumping  [');
    // The bar is taken away before the result is printed.
    expect(stdout).toContain('\u{1B}[2KBackup app_');
  });

  it('and plain lines elsewhere', async () => {
    const { stderr } = await host.run('backup');
    expect(stderr).toMatch(/^Dumping/m);
    expect(stderr).not.toContain('\u{1B}');
  });
});

describe('where only a command reaches the server', () => {
  const work = async (where: PostgresCluster, options: Partial<HostOptions>): Promise<void> => {
    const host = new AgentHost({ cluster: where, database: 'app', ...options });
    try {
      await host.json('backup', '--verify');
      expect(await host.json('list')).toMatchObject({ items: [{ state: 'complete' }] });
      await host.json('restore', 'latest', '--into', 'again');
      await expectRestored(where, 'again');
      const { findings } = await host.json<{ findings: { level: string }[] }>('doctor');
      expect(findings.filter(({ level }) => level === 'fail')).toEqual([]);
    } finally {
      host.remove();
    }
  };
  const clean = (where: PostgresCluster): string[] => ['env', '-i', `PATH=${where.clientDir}:/usr/bin:/bin`];

  it.each([
    ['with a password', () => cluster],
    ['without', () => open],
  ])('nothing of our environment arrives behind it, %s', async (_, where) => {
    await expect(work(where(), { dump: { exec: clean(where()) } })).resolves.toBeUndefined();
  });

  describe.each([
    { how: 'with a password', where: () => cluster },
    { how: 'without', where: () => open },
  ])('in a network of its own, $how', ({ where }) => {
    let inside: NetworkNamespace;
    beforeAll(async () => {
      inside = await NetworkNamespace.around(where(), await freePort());
    });
    afterAll(async () => {
      await inside.end();
    });

    it('the server is not reachable from here', async () => {
      const host = new AgentHost({ cluster: where(), database: 'app', connection: { port: inside.port } });
      expect(await host.run('backup')).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/ECONNREFUSED/) as string,
      });
      host.remove();
    });

    it('backup, list, restore and doctor go through the command', async () => {
      const exec = [...inside.prefix, ...clean(where())];
      await expect(work(where(), { connection: { port: inside.port }, dump: { exec } })).resolves.toBeUndefined();
    });

    it('execConnect makes the connection in its own way', async () => {
      const socket = `${where().directory}/.s.PGSQL.${where().port}`;
      const script =
        "const s = require('node:net').connect(process.argv[1]); process.stdin.pipe(s).pipe(process.stdout)";
      const exec = [...inside.prefix, ...clean(where())];
      const execConnect = [process.execPath, '-e', script, socket];
      await expect(
        work(where(), { connection: { port: inside.port }, dump: { exec, execConnect } }),
      ).resolves.toBeUndefined();
    });
  });

  it('a command that fails says so, with its own words', async () => {
    const host = new AgentHost({
      cluster: open,
      database: 'app',
      dump: { exec: ['sh', '-c', 'echo "no such container: postgres" >&2; exit 1'] },
    });
    const { code, stderr } = await host.run('backup');
    expect([code, stderr]).toEqual([1, expect.stringMatching(/no such container: postgres.*Run the command by hand/s)]);
    host.remove();
    const missing = new AgentHost({
      cluster: open,
      database: 'app',
      dump: { exec: ['docker-that-is-not-there', 'exec'] },
    });
    const result = await missing.run('backup');
    expect([result.code, result.stderr]).toEqual([1, expect.stringMatching(/docker-that-is-not-there.*ENOENT/s)]);
    missing.remove();
  });
});
