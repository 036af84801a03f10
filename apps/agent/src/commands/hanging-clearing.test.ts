import { newId } from '@strideiq/core';
import { waitFor } from '@strideiq/testkit';
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Host } from '../compose.ts';
import { thisProcess } from '../journal/process-identity.ts';
import { ServerClock } from '../link/server-clock.ts';
import { ProgressBoard } from '../progress/progress-board.ts';
import { ScriptedControlPlane } from '../testing/scripted-control-plane.ts';
import { TestAgent } from '../testing/test-agent.ts';
import { jobOf, RunQueue, type Job } from './run-queue.ts';

/** Clearing waits for a server that says nothing, and then for a file that nobody writes to, as it does for a dead mount. */

let agent: TestAgent;
let host: Host;
let queue: RunQueue;
/** A server that takes connections and says nothing. */
let silent: Server;
const sockets = new Set<Socket>();
const hungUp = () => sockets.forEach((socket) => socket.destroy());
let abandoned = '';
let released = false;
const release = () => {
  if (released) return;
  released = true;
  // For reading too, since it would wait for a reader otherwise, and one that waits for a writer has one then.
  const file = openSync(join(agent.directory, 'key'), 'r+');
  writeSync(file, 'x');
  closeSync(file);
};

beforeEach(async () => {
  released = false;
  silent = createServer((socket) => void sockets.add(socket.on('error', () => undefined)));
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const { port } = silent.address() as AddressInfo;
  agent = new TestAgent({
    controlPlane: new ScriptedControlPlane(),
    databases: {
      app: {
        connection: { host: '127.0.0.1', port, user: 'nobody' },
        stores: ['local', 's3'],
        dump: { stallLimit: '1s' },
      },
    },
    stores: {
      s3: {
        type: 's3',
        bucket: 'copies',
        endpoint: 'http://127.0.0.1:1',
        region: 'x',
        credentials: { accessKeyIdFile: 'key', secretAccessKeyFile: 'secret' },
      },
    },
  });
  execFileSync('mkfifo', ['-m', '600', join(agent.directory, 'key')]);
  writeFileSync(join(agent.directory, 'secret'), 'x', { mode: 0o600 });
  host = await agent.open();
  const nothing = () => undefined;
  const clock = new ServerClock(Date.now);
  clock.learn(new Date().toISOString(), Date.now());
  queue = new RunQueue({
    host,
    events: { info: nothing, warn: nothing, error: nothing },
    clock,
    progress: new ProgressBoard(),
    controlPlane: { ask: () => Promise.reject(new Error('there is none')) },
  });
  const databaseId = agent.databaseId();
  abandoned = newId(1);
  host.journal.begin({ id: abandoned, kind: 'backup', environment: 'test', database: 'app', databaseId, detail: {} });
  const dead = JSON.stringify({ ...thisProcess(), bootId: 'another' });
  agent.sql('UPDATE runs SET owner = ?', dead);
});
afterEach(async () => {
  const stopped = queue.stop(new Error('it is over'));
  release();
  hungUp();
  await stopped;
  silent.close();
  host.close();
  await agent.remove();
});

const databaseOf = () => host.configuration.databases['app'] ?? expect.unreachable();

/** A backup that gets no further than the server. */
const job = (): Job => {
  const command = {
    ...agent.command('backup'),
    kind: 'backup' as const,
    runId: newId(Date.now()),
    body: { storeIds: [] },
  };
  return jobOf(command, databaseOf());
};

test('a run that begins meanwhile is not taken for an abandoned one', async () => {
  const [first, second] = [job(), job()];
  queue.add(first);
  await waitFor('the clearing to be at the server', () => sockets.size > 0);
  queue.cancel(first.runId);
  await waitFor('the first to be over', () => !queue.has(first.command?.commandId ?? ''));
  queue.add(second);
  const { runId } = second;
  await waitFor('the second to begin', () => host.journal.get(runId)?.state === 'running');
  // Which brings the clearing to the file.
  [...sockets][0]?.destroy();
  await delay(200);
  release();
  await waitFor('the abandoned one to be cleared', () => host.journal.get(abandoned)?.state === 'failed');
  expect(host.journal.get(runId)?.state).toBe('running');
});

test('a stop waits for none that hangs', async () => {
  const clearing = queue.clearIdle();
  await queue.stop(new Error('it is over'));
  await clearing;
  expect(host.journal.get(abandoned)?.state).toBe('running');
});
