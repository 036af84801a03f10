import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { gunzipSync } from 'node:zlib';
import pg from 'pg';
import {
  createSampleDatabase,
  majors,
  s3Available,
  startPostgres,
  startS3,
  type Major,
  type PostgresCluster,
  type S3Server,
} from '@strideiq/testkit';
import { AgentHost } from '../agent-host.ts';

const usage = `npm run quickstart -- [--once] [--database-url postgres://…] [--s3 BUCKET]

Starts a throw-away PostgreSQL with a sample database, backs it up, proves what was stored, restores it into a fresh
database, compares row counts, and stays up until Ctrl-C.

  --once               end after the printout; exit code 0 only if all of it held
  --database-url URL   back up your own database instead; it is only read, and restored into the throw-away server
  --s3 BUCKET          also into this bucket (bucket or s3://bucket/prefix), with AWS_* as usual;
                       left out: into a throw-away S3 server where Ceph RGW is installed`;

interface BackupDocument {
  name: string;
  bytes: number;
  rawBytes: number;
  rows: number;
  tables: number;
  startedAt: string;
  finishedAt: string;
  copies: { store: string; location: string; state: string }[];
}
interface VerifyDocument {
  copies: { store: string; state: string; bytes: number }[];
}
interface RestoreDocument {
  tables: { schema: string; name: string; expected: number; found: number }[];
  objects: number;
}

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
const secondsSince = (began: number): string => `${((performance.now() - began) / 1000).toFixed(1)} s`;

/** What ends each thing that was started. */
const toEnd: (() => Promise<void> | void)[] = [];

let staying = false;

async function quickstart(): Promise<void> {
  const { values } = parseArgs({
    options: {
      once: { type: 'boolean', default: false },
      'database-url': { type: 'string' },
      s3: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    say(usage);
    return;
  }
  const hints = await tour(values['database-url'], values.s3);
  if (values.once) return;
  say(`\nAll of it held. The servers stay up until Ctrl-C.\n${hints}`);
  staying = true;
  await new Promise(() => {
    setInterval(() => undefined, 60_000);
  });
}

/**
 * The whole story, each step printed as it is done.
 * @returns where to look, while the servers are up
 * @throws Error where a step does not hold
 */
async function tour(databaseUrl: string | undefined, bucket: string | undefined): Promise<string> {
  let began = performance.now();
  const major = databaseUrl === undefined ? 15 : await majorFor(databaseUrl);
  const cluster = await startPostgres({ major });
  toEnd.push(async () => cluster.stop());
  if (databaseUrl === undefined) {
    await createSampleDatabase(cluster, 'running_app', { scaleMb: 30 });
    say(
      `1. PostgreSQL ${major} at ${cluster.host}:${cluster.port} with the sample database running_app (${secondsSince(began)})`,
    );
  } else {
    say(
      `1. Your own database, only read; a throw-away PostgreSQL ${major} at ${cluster.host}:${cluster.port} to restore into`,
    );
  }
  const host = await hostFor(cluster, databaseUrl, bucket);
  toEnd.push(() => host.remove());

  began = performance.now();
  const backup = await host.json<BackupDocument>('backup');
  say(`2. Backup ${backup.name} (${secondsSince(began)})`);
  say(
    `   ${backup.rows.toLocaleString('en')} rows of ${backup.tables} tables, ${megabytes(backup.rawBytes)} of SQL in ${megabytes(backup.bytes)}`,
  );
  for (const copy of backup.copies) say(`   ${copy.state} in ${copy.store}: ${copy.location}`);

  began = performance.now();
  const verified = await host.json<VerifyDocument>('verify', 'latest');
  say(`3. Every byte read back: checksum, gzip, closing line, index and row counts agree (${secondsSince(began)})`);
  for (const copy of verified.copies) say(`   ${copy.state} in ${copy.store}`);

  began = performance.now();
  const restored = await restore(host, cluster, host.path(backup.name));
  say(`4. Restored into the fresh database ${restoredName} (${secondsSince(began)})`);

  const rows = await recount(cluster, restored);
  if (rows !== backup.rows) throw new Error(`${rows} rows were restored of ${backup.rows}`);
  say(
    `5. Row counts are equal in all ${restored.tables.length} tables, ${rows.toLocaleString('en')} rows; ${restored.objects} objects agree`,
  );
  return [
    `   Look at it:       psql -h ${cluster.host} -p ${cluster.port} -U ${cluster.user} -d ${restoredName}`,
    `   The backups:      ls -l ${host.backupDirectory}`,
    `   With the agent:   npx strideiq-agent list --config ${host.configurationFile}`,
  ].join('\n');
}

const restoredName = 'running_app_restored';

async function hostFor(
  cluster: PostgresCluster,
  url: string | undefined,
  bucket: string | undefined,
): Promise<AgentHost> {
  const [, name, prefix] = /^(?:s3:\/\/)?([^/]+)(?:\/(.*))?$/.exec(bucket ?? '') ?? [];
  if (bucket !== undefined && name === undefined) throw new Error(`--s3 ${bucket}: write BUCKET or s3://BUCKET/PREFIX`);
  const s3 = bucket === undefined ? await throwAwayS3() : undefined;
  const endpoint = process.env['AWS_ENDPOINT_URL_S3'] ?? process.env['AWS_ENDPOINT_URL'];
  return new AgentHost({
    cluster,
    database: 'running_app',
    ...(url === undefined ? {} : { url }),
    ...(s3 === undefined ? {} : { s3: { server: s3, endpoint: s3.endpoint, bucket: 'strideiq-backups' } }),
    ...(name === undefined
      ? {}
      : {
          bucket: {
            type: 's3',
            bucket: name,
            prefix: prefix ?? 'strideiq-quickstart/',
            ...(endpoint ? { endpoint } : {}),
          },
        }),
    env: Object.fromEntries(Object.entries(process.env).filter(([key]) => key.startsWith('AWS_'))),
  });
}

async function throwAwayS3(): Promise<S3Server | undefined> {
  if (!s3Available()) {
    say('   No S3 server is installed here (Ceph RGW: radosgw), and no bucket was named: the directory store only.');
    return undefined;
  }
  const server = await startS3();
  toEnd.push(async () => server.stop());
  await server.createBucket('strideiq-backups');
  return server;
}

/** Into the throw-away server, whoever owns the source; its roles are made first, as the policies name them. */
async function restore(host: AgentHost, cluster: PostgresCluster, dump: string): Promise<RestoreDocument> {
  const privileges = gunzipSync(await readFile(dump.replace(/\.sql\.gz$/, '.privileges.sql.gz'))).toString();
  const roles = privileges.slice(0, privileges.indexOf('-- End of roles'));
  await cluster.psql('postgres', { sql: roles, args: ['-v', 'ON_ERROR_STOP=0'] });
  const target = [
    '--database-url',
    cluster.url('postgres'),
    '--state-dir',
    host.stateDirectory,
    '--backup-dir',
    host.backupDirectory,
  ];
  const { code, stdout, stderr } = await host.startPlain('restore', dump, '--into', restoredName, '--json', ...target)
    .result;
  if (code !== 0) throw new Error(`the restore failed: ${stderr}`);
  return JSON.parse(stdout) as RestoreDocument;
}

/**
 * Counts every table here too, so that the agent is not the only witness. An extension fills its tables by itself as
 * well: of those the agent's own count of loaded rows is taken.
 * @returns rows of all tables
 * @throws Error naming a table whose count differs
 */
async function recount(cluster: PostgresCluster, restored: RestoreDocument): Promise<number> {
  const client = await cluster.connect(restoredName);
  try {
    let sum = 0;
    for (const { schema, name, expected, found } of restored.tables) {
      const table = `${client.escapeIdentifier(schema)}.${client.escapeIdentifier(name)}`;
      const { rows } = await client.query<{ rows: number; extension: boolean }>(
        `SELECT count(*)::float8 AS rows,
                EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = $1::regclass AND deptype = 'e') AS extension
           FROM ONLY ${table}`,
        [table],
      );
      const counted = rows[0]?.extension ? found : rows[0]?.rows;
      if (counted !== expected) throw new Error(`${table} has ${counted} rows of ${expected}`);
      sum += expected;
    }
    return sum;
  } finally {
    await client.end();
  }
}

/** The major of a server to restore into: the source's, or the next that there is. */
async function majorFor(url: string): Promise<Major> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ major: number }>(
      "SELECT current_setting('server_version_num')::int / 10000 AS major",
    );
    const wanted = rows[0]?.major ?? 0;
    const major = majors.find((each) => each >= wanted);
    if (major === undefined) throw new Error(`no throw-away server of PostgreSQL ${wanted} or newer is at hand`);
    return major;
  } finally {
    await client.end();
  }
}

/** Everything that was started is ended once, in reverse order, whichever way the program leaves. */
async function leave(exitCode: number): Promise<never> {
  for (const end of toEnd.splice(0).toReversed()) await end();
  process.exit(exitCode);
}

for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    // While it stays up, Ctrl-C is how it ends; before that, it is cut short.
    void leave(staying ? 0 : 130);
  });
}
try {
  await quickstart();
  await leave(0);
} catch (error) {
  const usageError = error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS');
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(usageError ? `${message}\n\n${usage}\n` : `\nThe quickstart did not hold: ${message}\n`);
  await leave(usageError ? 2 : 1);
}
