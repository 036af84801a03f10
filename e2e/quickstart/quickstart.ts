import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
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
import { ControlPlaneServer, type Run } from '../control-plane-server.ts';

const usage = `npm run quickstart -- [--once] [--database-url postgres://…] [--s3 BUCKET]

Starts a throw-away PostgreSQL with a sample database, a control plane and an agent; asks for a backup, proves what was
stored, asks for a restore into a fresh database by the REST API, compares row counts, and stays up until Ctrl-C.

  --once               end after the printout; exit code 0 only if all of it held
  --database-url URL   back up your own database instead; it is only read, and restored into the throw-away server
  --s3 BUCKET          also into this bucket (bucket or s3://bucket/prefix), with AWS_* as usual;
                       left out: into a throw-away S3 server where Ceph RGW is installed`;

interface Backup {
  objectName: string;
  bytes: number;
  rawBytes: number;
  rows: number;
  tables: number;
  copies: { store: string; location: string; state: string }[];
}
interface Manifest {
  tables: { schema: string; name: string; rows: number }[];
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
  const server = new ControlPlaneServer();
  toEnd.push(async () => server.remove());
  began = performance.now();
  await server.start();
  const host = await hostFor(cluster, databaseUrl, bucket, server.url);
  toEnd.push(() => host.remove());
  const daemon = await server.enrol(host);
  toEnd.push(async () => {
    daemon.process.kill('SIGTERM');
    await daemon.result;
  });
  const { agentId, databaseId } = await server.connected(host);
  say(`2. Control plane at ${server.url}, and an agent that has enrolled with it (${secondsSince(began)})`);

  began = performance.now();
  const { backupId } = await succeeded(server, await server.ask('/backups', { databaseId }));
  const backup = await server.get<Backup>(`/backups/${String(backupId)}`);
  say(`3. Backup ${backup.objectName}, asked for by POST /api/v1/backups (${secondsSince(began)})`);
  say(
    `   ${backup.rows.toLocaleString('en')} rows of ${backup.tables} tables, ${megabytes(backup.rawBytes)} of SQL in ${megabytes(backup.bytes)}`,
  );
  for (const copy of backup.copies) say(`   ${copy.state} in ${copy.store}: ${copy.location}`);

  began = performance.now();
  await succeeded(server, await server.ask(`/backups/${String(backupId)}/verify`, {}));
  const { copies } = await server.get<Backup>(`/backups/${String(backupId)}`);
  const unproven = copies.filter(({ state }) => state !== 'verified');
  if (unproven.length > 0) throw new Error(`not verified: ${JSON.stringify(unproven)}`);
  say(`4. Every byte read back: checksum, gzip, closing line, index and row counts agree (${secondsSince(began)})`);
  for (const copy of copies) say(`   ${copy.state} in ${copy.store}`);

  began = performance.now();
  await makeRoles(cluster, host.path(backup.objectName));
  const target = {
    agentId,
    mode: 'fresh',
    database: restoredName,
    ...(await throwAwayServer(server, host, databaseUrl)),
  };
  await succeeded(server, await server.ask('/restores', { databaseId, latest: true, target }));
  say(
    `5. Restored into the fresh database ${restoredName}, asked for by POST /api/v1/restores (${secondsSince(began)})`,
  );

  const { tables } = await host.json<Manifest>('show', backup.objectName, '--database', host.database);
  const rows = await recount(cluster, tables);
  if (rows !== backup.rows) throw new Error(`${rows} rows were restored of ${backup.rows}`);
  say(`6. Row counts are equal in all ${tables.length} tables, ${rows.toLocaleString('en')} rows`);
  return [
    `   Control plane:    ${server.url} (the API is described at ${server.url}/api/v1/openapi.json)`,
    `   Its admin key:    ${join(server.dataDirectory, 'admin.key')}`,
    `   Ask it yourself:  curl -H "Authorization: Bearer $(cat ${join(server.dataDirectory, 'admin.key')})" ${server.url}/api/v1/runs`,
    `   The database:     psql -h ${cluster.host} -p ${cluster.port} -U ${cluster.user} -d ${restoredName}`,
    `   The backups:      ls -l ${host.backupDirectory}`,
    `   With the agent:   npx strideiq-agent list --config ${host.configurationFile}`,
  ].join('\n');
}

/** Waits for a run. @throws Error with its own words where it has not succeeded */
async function succeeded(server: ControlPlaneServer, runId: string): Promise<Run> {
  const run = await server.ended(runId, 24 * 60 * 60 * 1000);
  if (run.state === 'succeeded') return run;
  throw new Error(`the ${run.kind} ${run.state}: ${JSON.stringify(run['error'])}`);
}

const restoredName = 'running_app_restored';

async function hostFor(
  cluster: PostgresCluster,
  url: string | undefined,
  bucket: string | undefined,
  controlPlane: string,
): Promise<AgentHost> {
  const [, name, prefix] = /^(?:s3:\/\/)?([^/]+)(?:\/(.*))?$/.exec(bucket ?? '') ?? [];
  if (bucket !== undefined && name === undefined) throw new Error(`--s3 ${bucket}: write BUCKET or s3://BUCKET/PREFIX`);
  const s3 = bucket === undefined ? await throwAwayS3() : undefined;
  const endpoint = process.env['AWS_ENDPOINT_URL_S3'] ?? process.env['AWS_ENDPOINT_URL'];
  return new AgentHost({
    cluster,
    database: 'running_app',
    environment: 'quickstart',
    controlPlane,
    ...(url === undefined ? {} : { url, ...throwAwayEntry(cluster) }),
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

const throwAwayName = 'throw_away';

/** Beside the user's own database, which is only read: the server that is restored into, by an entry of its own. */
function throwAwayEntry(cluster: PostgresCluster) {
  const { host, port, user } = cluster;
  return {
    moreStores: { [throwAwayName]: { type: 'directory', path: 'throw-away' } },
    moreDatabases: {
      [throwAwayName]: { connection: { host, port, user, database: 'postgres' }, stores: [throwAwayName] },
    },
  };
}

async function throwAwayServer(
  server: ControlPlaneServer,
  host: AgentHost,
  databaseUrl: string | undefined,
): Promise<{ viaDatabaseId?: string }> {
  if (databaseUrl === undefined) return {};
  const { items } = await server.get<{ items: { id: string; name: string; environment: string }[] }>('/databases');
  const entry = items.find(({ name, environment }) => name === throwAwayName && environment === host.environment);
  if (!entry) throw new Error('the throw-away server is not known to the control plane');
  return { viaDatabaseId: entry.id };
}

/** The policies of a dump name roles, which must be there first. */
async function makeRoles(cluster: PostgresCluster, dump: string): Promise<void> {
  const privileges = gunzipSync(await readFile(dump.replace(/\.sql\.gz$/, '.privileges.sql.gz'))).toString();
  const roles = privileges.slice(0, privileges.indexOf('-- End of roles'));
  await cluster.psql('postgres', { sql: roles, args: ['-v', 'ON_ERROR_STOP=0'] });
}

/**
 * Counts every table here too, so that the agent is not the only witness. An extension fills its tables by itself as
 * well: of those the agent's own comparison of loaded rows is taken.
 * @returns rows of all tables
 * @throws Error naming a table whose count differs
 */
async function recount(cluster: PostgresCluster, tables: Manifest['tables']): Promise<number> {
  const client = await cluster.connect(restoredName);
  try {
    let sum = 0;
    for (const { schema, name, rows: expected } of tables) {
      const table = `${client.escapeIdentifier(schema)}.${client.escapeIdentifier(name)}`;
      const { rows } = await client.query<{ rows: number; extension: boolean }>(
        `SELECT count(*)::float8 AS rows,
                EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = $1::regclass AND deptype = 'e') AS extension
           FROM ONLY ${table}`,
        [table],
      );
      if (rows[0]?.extension !== true && rows[0]?.rows !== expected) {
        throw new Error(`${table} has ${rows[0]?.rows} rows of ${expected}`);
      }
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
