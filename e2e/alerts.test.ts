import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import {
  startHttpFaultProxy,
  startPostgres,
  waitFor,
  type HttpFaultProxy,
  type PostgresCluster,
} from '@strideiq/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AgentHost, type RunningAgent } from './agent-host.ts';
import { ControlPlaneServer } from './control-plane-server.ts';
import { HostClock } from './host-clock.ts';
import { ownS3 } from './own-s3.ts';

/** The shipped programs, on a bucket that is cut, a table that is emptied and an agent that is killed: who hears of what. */

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const s3 = ownS3('alerts');

interface Message {
  kind: string;
  rule: string | null;
  title: string;
  alerts: { text: string }[];
}

let cluster: PostgresCluster;
let proxy: HttpFaultProxy;
let receiver: Server;
let server: ControlPlaneServer;
let host: AgentHost;
let clock: HostClock;
let now = Date.now();
let daemon: RunningAgent | undefined;
let databaseId = '';
const messages: Message[] = [];

beforeAll(async () => {
  cluster = await startPostgres();
  await cluster.createDatabase('app');
  await cluster.query('app', 'CREATE TABLE athletes AS SELECT n FROM generate_series(1, 5000) AS n');
  proxy = await startHttpFaultProxy({ to: s3().endpoint });
  receiver = createServer((request, response) => {
    void json(request).then((message) => messages.push(message as Message));
    response.end('ok');
  }).listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  const { port } = receiver.address() as AddressInfo;
  clock = new HostClock(now);
  const team = { type: 'webhook', url: `http://127.0.0.1:${port}/`, severity: 'info' };
  server = new ControlPlaneServer(clock.env, { channels: { team } });
  await server.start();
  host = new AgentHost({
    cluster,
    database: 'app',
    controlPlane: server.url,
    env: clock.env,
    s3: { server: s3(), endpoint: proxy.endpoint, bucket: 'alerts' },
    dump: { stallLimit: '1s' },
  });
  daemon = await server.enrol(host);
  ({ databaseId } = await server.connected(host));
}, 240_000);
afterAll(async () => {
  daemon?.process.kill('SIGKILL');
  await daemon?.result;
  await server?.remove();
  host?.remove();
  clock?.remove();
  receiver?.close();
  await proxy?.stop();
  await cluster?.stop();
});

function pass(ms: number): void {
  now += ms;
  clock.set(now);
}

const open = async () => {
  const { items } = await server.get<{ items: { rule: string }[] }>('/alerts');
  return items.map(({ rule }) => rule);
};

/** Time goes on until rules are open, or are not any more, and have been told. */
async function until(kind: 'opened' | 'resolved', ...rules: string[]): Promise<void> {
  await waitFor(
    `${rules.join(', ')} to be ${kind}`,
    async () => {
      pass(minuteMs);
      const told = messages.filter((message) => message.kind === kind).map(({ rule }) => rule);
      const isOpen = await open();
      return rules.every((rule) => told.includes(rule) && isOpen.includes(rule) === (kind === 'opened'));
    },
    { timeoutMs: 240_000, everyMs: 2000 },
  );
}

async function backUp(): Promise<void> {
  const run = await server.ended(await server.ask('/backups', { databaseId }));
  expect(run.state).toBe('succeeded');
}

test('what goes wrong is told while it is so, and that it is over', async () => {
  await backUp();
  expect(await open()).not.toContain('copyFailed');

  proxy.add({ fault: 'reset' });
  await backUp();
  await until('opened', 'copyFailed');
  const [failed] = messages.filter(({ rule }) => rule === 'copyFailed');
  expect(failed?.title).toContain('app in s3');

  proxy.clear();
  await cluster.query('app', 'TRUNCATE athletes');
  await cluster.query('app', 'ALTER TABLE athletes ADD COLUMN name text');
  await backUp();
  await until('resolved', 'copyFailed');
  await until('opened', 'rowsLost', 'schemaChanged');
  const [lost] = messages.filter(({ rule }) => rule === 'rowsLost');
  expect(lost?.alerts[0]?.text).toBe('public.athletes has 0 rows and had 5000.');

  daemon?.process.kill('SIGKILL');
  await daemon?.result;
  await until('opened', 'agentAway');
  pass(26 * hourMs);
  await until('opened', 'noBackup');

  daemon = host.start('run');
  await server.connected(host);
  await backUp();
  await until('resolved', 'noBackup', 'agentAway', 'rowsLost', 'schemaChanged');
}, 900_000);
