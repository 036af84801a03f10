import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startControlPlane } from '../testing/control-plane.ts';
import { startReceiver, type Receiver } from '../testing/receiver.ts';
import { Heartbeat, type HeartbeatParts } from './heartbeat.ts';

let receiver: Receiver;
let directory: string;
const warned: string[] = [];
beforeEach(async () => {
  receiver = await startReceiver();
  directory = mkdtempSync(join(tmpdir(), 'strideiq-heartbeat-'));
  warned.length = 0;
});
afterEach(async () => {
  await receiver.stop();
  rmSync(directory, { recursive: true, force: true });
});

function open(more: Partial<HeartbeatParts> = {}): Heartbeat {
  const urlFile = join(directory, 'url');
  writeFileSync(urlFile, `${receiver.url}/ping/a-secret?x=1\n`);
  const log = { info: () => {}, error: () => {}, warn: (_: object, text: string) => warned.push(text) };
  const rest = { env: {}, secrets: new Set<string>(), allowPlainText: false, problem: () => undefined, log };
  return new Heartbeat({ said: { urlFile }, ...rest, ...more });
}
const came = () => receiver.received.map(({ method, path, body }) => `${method} ${path} ${body}`);

test('says that all is well, or what is not; and nothing while nobody can say', async () => {
  let problem: string | undefined | null = null;
  const heartbeat = open({ problem: () => problem });
  await heartbeat.beat();
  problem = undefined;
  await heartbeat.beat();
  problem = 'alerts are not looked at';
  await heartbeat.beat();
  expect(came()).toEqual(['POST /ping/a-secret?x=1 ', 'POST /ping/a-secret/fail?x=1 alerts are not looked at']);
});

test('what goes wrong with it is logged once for each reason, without its secret', async () => {
  const heartbeat = open();
  receiver.state.answer = (response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end();
  await heartbeat.beat();
  await heartbeat.beat();
  expect(warned).toEqual(['the heartbeat did not arrive: it answered 302']);
  receiver.state.answer = (response) => response.destroy();
  await heartbeat.beat();
  expect(warned).toHaveLength(2);
  expect(warned.join()).not.toContain('a-secret');
  await open({ said: { url: 'http://192.0.2.1/ping' } }).beat();
  expect(warned.at(-1)).toContain('use https');
});

test('the control plane says it by itself once alerts were looked at, and no more once it has stopped', async () => {
  const server = await startControlPlane({ heartbeat: { url: `${receiver.url}/ping` } });
  await server.controlPlane.alerts.look();
  await server.controlPlane.heartbeat?.beat();
  expect(came()).toContain('POST /ping ');
  server.clock.now += 10 * 60_000;
  await server.controlPlane.heartbeat?.beat();
  expect(came().at(-1)).toContain('POST /ping/fail Alerts were looked at last');
  await server.stop();
});
