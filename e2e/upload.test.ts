import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import {
  createSampleDatabase,
  fingerprint,
  startPostgres,
  startS3,
  type PostgresCluster,
  type S3Server,
} from '@strideiq/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AgentHost, type RunningAgent } from './agent-host.ts';
import { CliUser } from './cli-user.ts';
import { ControlPlaneServer } from './control-plane-server.ts';
import { databasesOf } from './raw-state.ts';

/** A dump of one's own machine is restored on a host: through its bucket, and never through the control plane. */

let cluster: PostgresCluster;
let s3: S3Server;
let server: ControlPlaneServer;
let host: AgentHost;
let daemon: RunningAgent;
let user: CliUser;

beforeAll(async () => {
  [cluster, s3] = await Promise.all([startPostgres(), startS3()]);
  await Promise.all([createSampleDatabase(cluster, 'app', { scaleMb: 1 }), s3.createBucket('strideiq')]);
  await cluster.query(
    'postgres',
    'CREATE ROLE keeper LOGIN CREATEDB; GRANT pg_read_all_data, pg_signal_backend TO keeper',
  );
  server = new ControlPlaneServer();
  await server.start();
  host = new AgentHost({
    cluster,
    database: 'app',
    controlPlane: server.url,
    connection: { user: 'keeper' },
    s3: { server: s3, endpoint: s3.endpoint, bucket: 'strideiq' },
    allow: ['restoreUpload', 'cancel'],
  });
  daemon = await server.enrol(host);
  await server.connected(host);
  user = new CliUser();
  await user.json('login', '--url', server.url, '--key-file', `${server.dataDirectory}/admin.key`);
}, 240_000);

afterAll(async () => {
  daemon?.process.kill('SIGTERM');
  await daemon?.result;
  await server?.remove();
  host?.remove();
  user?.remove();
  await Promise.all([cluster?.stop(), s3?.stop()]);
});

function dumpOf(sql: string): string {
  const file = join(user.home, 'dump.sql.gz');
  writeFileSync(file, gzipSync(sql));
  return file;
}

async function keysInBucket(): Promise<(string | undefined)[]> {
  const client = s3.client();
  try {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: 'strideiq' }));
    return Contents.map(({ Key }) => Key);
  } finally {
    client.destroy();
  }
}

test('a dump goes into a new database, and nothing of it stays in the bucket', async () => {
  await cluster.createDatabase('theirs');
  await cluster.query(
    'theirs',
    `CREATE TABLE runs (id int PRIMARY KEY, note text); INSERT INTO runs SELECT n, md5(n::text) FROM generate_series(1, 5000) AS n;
     CREATE VIEW short AS SELECT left(note, 3) AS note FROM runs`,
  );
  const { stdout } = await cluster.runClient('pg_dump', ['--no-owner', '--no-acl', '-d', 'theirs']);
  const file = dumpOf(stdout);
  const asked = ['restore', file, '--database', 'test/app', '--into', 'app_uploaded', '--watch'];
  const { code, stdout: said } = await user.run(asked);
  expect([code, said]).toEqual([0, expect.stringMatching(/succeeded/)]);
  expect(await fingerprint(cluster, 'app_uploaded')).toEqual(await fingerprint(cluster, 'theirs'));
  expect(await keysInBucket()).toEqual([]);
});

test('a role that owns what the host backs up does not run it', async () => {
  await cluster.query('postgres', 'ALTER DATABASE app OWNER TO keeper');
  try {
    const file = dumpOf('CREATE TABLE t (a int);\n--\n-- PostgreSQL database dump complete\n--\n');
    const { code, stderr } = await user.run(['restore', file, '--database', 'test/app', '--into', 'owned', '--watch']);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/role keeper, which would run its SQL, owns app/)]);
    expect(await databasesOf(cluster)).not.toContain('owned');
  } finally {
    await cluster.query('postgres', `ALTER DATABASE app OWNER TO ${cluster.user}`);
  }
});

test('what would hurt runs as a role that may not, and leaves nothing', async () => {
  const file = dumpOf(
    "COPY (SELECT 1) TO PROGRAM 'touch /tmp/strideiq-was-here';\n--\n-- PostgreSQL database dump complete\n--\n",
  );
  const { code, stderr } = await user.run(['restore', file, '--database', 'test/app', '--into', 'evil', '--watch']);
  expect([code, stderr]).toEqual([1, expect.stringMatching(/permission denied|pg_execute_server_program/)]);
  expect(await databasesOf(cluster)).not.toContain('evil');
  expect(await keysInBucket()).toEqual([]);
});

test.each([
  [['./nothing.sql.gz', '--into', 'x', '--database', 'test/app'], 1, /nothing\.sql\.gz cannot be read/],
  [['/etc/hostname', '--into', 'x', '--database', 'test/app'], 1, /is no \.sql\.gz/],
  [['./x.sql.gz', '--into', 'x'], 2, /on which server/],
  [['./x.sql.gz', '--in-place', '--database', 'test/app'], 2, /A file goes into a new database/],
])('%j is a mistake', async (args, exitCode, why) => {
  const { code, stderr } = await user.run(['restore', ...args]);
  expect([code, stderr]).toEqual([exitCode, expect.stringMatching(why)]);
});
