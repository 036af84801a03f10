import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { createSampleDatabase, startPostgres, startS3, waitFor, type PostgresCluster } from '@strideiq/testkit';
import { AgentHost, type RunningAgent } from './agent-host.ts';
import { ControlPlaneServer } from './control-plane-server.ts';
import { WireTap, type Crossed } from './wire-tap.ts';

/**
 * Records one message of every kind from an exchange of the real programs, for packages/protocol/fixtures:
 *
 *     npx node e2e/record-messages.ts packages/protocol/fixtures/v2
 *
 * A folder that is there is never written to: what a version once said stays as it was.
 */

interface Frame {
  id?: number;
  method?: string;
  params?: { path?: string; input?: { reports?: { kind: string; body: Record<string, unknown> }[] } };
  result?: { data?: { kind?: string; body?: { source?: { via: string } } } };
}

/** What a message is called, or undefined where it is none of ours. */
function nameOf({ connection, from, path, message }: Crossed, pathOf: (id: number | undefined) => string | undefined) {
  if (path !== undefined) return from === 'agent' ? 'enrol' : 'enrol-answer';
  const frame = message as Frame;
  if (from === 'agent') return frame.method === 'subscription.stop' ? undefined : nameOfCall(frame, connection);
  const asked = pathOf(frame.id);
  // First it only says that it has begun.
  if (asked === 'policies') return frame.result?.data && 'policies-answer';
  if (asked !== 'commands') return frame.result && asked !== undefined ? `${asked}-answer` : undefined;
  const { kind, body } = frame.result?.data ?? {};
  return kind && `command-${kind}${body?.source ? `-by-${body.source.via}` : ''}`;
}

function nameOfCall({ params }: Frame, connection: number): string | undefined {
  const { path, input } = params ?? {};
  // Of each host: what it says later refers to what it declared.
  if (path === 'hello') return `hello-of-${connection}`;
  const reports = input?.reports;
  if (!reports) return path;
  // By the rarest of what it holds.
  const kinds = reports.map(({ kind, body }) => {
    if (kind !== 'run') return kind;
    const state = String(body['state']);
    if (state !== 'succeeded') return `run-${state}`;
    if (body['drill']) return 'run-drill';
    return body['backup'] ? 'run-backup' : body['restore'] ? 'run-restore' : 'run-verify';
  });
  const order = [
    'drift',
    'copy',
    'run-backup',
    'run-restore',
    'run-drill',
    'run-cancelled',
    'command',
    'log',
    'run-cancelling',
    'run-running',
  ];
  return `report-${order.find((kind) => kinds.includes(kind)) ?? kinds[0]}`;
}

/** Writes the first message of each name, numbered as they came. */
function write(folder: string, crossed: readonly Crossed[]): string[] {
  mkdirSync(folder, { recursive: false });
  const asked = new Map<string, string>();
  const written = new Map<string, string>();
  for (const each of crossed) {
    const frame = each.message as Frame;
    const key = `${each.connection} ${frame.id}`;
    if (each.from === 'agent' && frame.params?.path !== undefined) asked.set(key, frame.params.path);
    const name = nameOf(each, (id) => asked.get(`${each.connection} ${id}`));
    if (name === undefined || written.has(name)) continue;
    const file = `${String(written.size + 1).padStart(2, '0')}-${name}.json`;
    written.set(name, file);
    writeFileSync(join(folder, file), `${JSON.stringify(each, undefined, 2)}\n`, { flag: 'wx' });
  }
  return [...written.values()];
}

/**
 * A backup, a verify, a restore by a store and one by URLs, one of a table, one in place, one of an upload, a drill, and a
 * backup that is cancelled.
 */
async function exchange(): Promise<Crossed[]> {
  const cluster = await startPostgres();
  const s3 = await startS3();
  const controlPlane = new ControlPlaneServer();
  const hosts: AgentHost[] = [];
  const daemons: RunningAgent[] = [];
  let wire: WireTap | undefined;
  try {
    await createSampleDatabase(cluster, 'running_app', { scaleMb: 1 });
    await cluster.createDatabase('other');
    await Promise.all(['backups', 'uploads'].map(async (name) => s3.createBucket(name)));
    await controlPlane.start();
    wire = await WireTap.start(controlPlane.port);
    const bucket = { server: s3, endpoint: s3.endpoint, bucket: 'backups' };
    await cluster.query('postgres', 'CREATE ROLE keeper LOGIN CREATEDB; GRANT pg_read_all_data TO keeper');
    const source = new AgentHost({
      cluster,
      database: 'running_app',
      environment: 'production',
      s3: bucket,
      controlPlane: wire.url,
      allow: ['backup', 'verify', 'restoreFresh', 'restoreTables', 'restoreInPlace', 'drill', 'presign', 'cancel'],
    });
    const target = new AgentHost({
      cluster,
      database: 'other',
      environment: 'staging',
      controlPlane: wire.url,
      trustBackups: true,
    });
    const uploads = new AgentHost({
      cluster,
      database: 'running_app',
      name: 'uploads',
      environment: 'staging',
      connection: { user: 'keeper' },
      s3: { ...bucket, bucket: 'uploads' },
      controlPlane: wire.url,
      allow: ['restoreUpload'],
    });
    hosts.push(source, target, uploads);
    for (const host of hosts) daemons.push(await controlPlane.enrol(host, wire.url));
    const [from, to] = [await controlPlane.connected(source), await controlPlane.connected(target)];
    const made = await controlPlane.ended(await controlPlane.ask('/backups', { databaseId: from.databaseId }));
    const backupId = String(made['backupId']);
    await controlPlane.ended(await controlPlane.ask(`/backups/${backupId}/verify`, {}));
    const { agentId } = from;
    const restores = [
      { target: { agentId, mode: 'fresh', database: 'restored_here' } },
      { target: { agentId: to.agentId, mode: 'fresh', database: 'restored_there' } },
      { target: { agentId, mode: 'tables', database: 'restored_part', tables: ['app.athletes'] } },
      { target: { agentId, mode: 'inPlace', database: 'running_app' }, confirm: 'running_app' },
    ];
    for (const asked of restores) {
      const { state } = await controlPlane.ended(await controlPlane.ask('/restores', { backupId, ...asked }));
      if (state !== 'succeeded') throw new Error(`the restore ${state}: ${JSON.stringify(asked)}`);
    }
    await restoreUpload(controlPlane, (await controlPlane.connected(uploads)).databaseId);
    const drilled = await controlPlane.ended(await controlPlane.ask('/drills', { databaseId: from.databaseId }));
    if (drilled.state !== 'succeeded') throw new Error(`the drill ${drilled.state}`);
    await cancelOne(controlPlane, cluster, from.databaseId);
    return wire.crossed;
  } finally {
    for (const daemon of daemons) {
      daemon.process.kill('SIGTERM');
      await daemon.result;
    }
    await wire?.stop();
    for (const host of hosts) host.remove();
    await controlPlane.remove();
    await Promise.all([cluster.stop(), s3.stop()]);
  }
}

async function restoreUpload(controlPlane: ControlPlaneServer, databaseId: string): Promise<void> {
  const dump = gzipSync('CREATE TABLE public.uploaded (id int);\n--\n-- PostgreSQL database dump complete\n--\n');
  const asking = { databaseId, sizeBytes: dump.length };
  const place = await controlPlane.request('POST', '/uploads', { body: asking });
  const { storeId, key, url } = place.body;
  const { ok, status } = await fetch(String(url), { method: 'PUT', body: dump });
  if (!ok) throw new Error(`the upload was answered by ${status}`);
  const asked = { databaseId, storeId, key, database: 'restored_upload' };
  const { state, error } = await controlPlane.ended(await controlPlane.ask('/uploads/restore', asked));
  if (state !== 'succeeded') throw new Error(`the restore of an upload ${state}: ${JSON.stringify(error)}`);
}

/** One that waits for a table, so that there is time to cancel it. */
async function cancelOne(
  controlPlane: ControlPlaneServer,
  cluster: PostgresCluster,
  databaseId: string,
): Promise<void> {
  const client = await cluster.connect('running_app');
  try {
    const { rows } = await client.query<{ name: string }>(
      "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname !~ '^(pg_|information_schema)' LIMIT 1",
    );
    await client.query(`BEGIN; LOCK TABLE ${rows[0]?.name ?? ''} IN ACCESS EXCLUSIVE MODE`);
    const runId = await controlPlane.ask('/backups', { databaseId });
    await waitFor('the backup to run', async () => {
      const { state } = await controlPlane.get<{ state: string }>(`/runs/${runId}`);
      return state === 'running';
    });
    await controlPlane.request('POST', `/runs/${runId}/cancel`);
    await controlPlane.ended(runId);
  } finally {
    await client.end();
  }
}

const [folder] = process.argv.slice(2);
if (folder === undefined) {
  process.stderr.write('Usage: npx node e2e/record-messages.ts FOLDER\n');
  process.exit(2);
}
process.stdout.write(`${write(resolve(folder), await exchange()).join('\n')}\n`);
