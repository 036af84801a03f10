import { newId } from '@strideiq/core';
import { waitFor } from '@strideiq/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { mostStreams } from '../api/followers.ts';
import { startControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import type { TestHost, TestLink } from '../testing/host.ts';
import { runBody } from '../testing/reports.ts';

let server: TestControlPlane;
let host: TestHost;
let link: TestLink;

beforeAll(async () => {
  server = await startControlPlane();
  host = server.host('production', 'db1');
  link = await host.connect();
});
afterAll(async () => {
  await link.close();
  await server.stop();
});

/** A stream that is read as it comes. */
class Stream {
  said = '';
  isOver = false;
  readonly response: Response;
  readonly #controller: AbortController;

  private constructor(response: Response, controller: AbortController) {
    this.response = response;
    this.#controller = controller;
    void this.#read();
  }

  static async open(path: string, key = server.adminKey): Promise<Stream> {
    const controller = new AbortController();
    const headers = { authorization: `Bearer ${key}`, accept: 'text/event-stream' };
    return new Stream(await fetch(`${server.url}${path}`, { headers, signal: controller.signal }), controller);
  }

  async #read(): Promise<void> {
    try {
      for await (const piece of this.response.body ?? []) this.said += Buffer.from(piece as Uint8Array).toString();
    } catch {
      // Cut, by either side.
    }
    this.isOver = true;
  }

  leave(): void {
    this.#controller.abort();
  }

  async says(what: string): Promise<void> {
    await waitFor(`the stream to say ${what}`, () => this.said.includes(what));
  }

  async ends(): Promise<void> {
    await waitFor('the stream to end', () => this.isOver);
  }
}

async function runningRun(): Promise<string> {
  const runId = newId(server.clock.now);
  await link.send(host.report('run', runBody(host, runId, 'running')));
  return runId;
}

const progress = async (runId: string, fraction: number) =>
  link.api.progress.mutate({ runs: [{ runId, phase: 'dumping', fraction, rows: 10, bytes: 20 }] });

test.each([
  ['server-sent events', (runId: string) => `/api/v1/runs/${runId}/events`],
  [
    'the subscription of our own clients',
    (runId: string) => `/trpc/runs.follow?input=${encodeURIComponent(JSON.stringify({ runId }))}`,
  ],
])('%s: the run at once, at each change, and no longer than it lives', async (_, pathOf) => {
  const runId = await runningRun();
  const stream = await Stream.open(pathOf(runId));
  expect(stream.response.status).toBe(200);
  expect(stream.response.headers.get('content-type')).toContain('text/event-stream');
  await stream.says('"state":"running"');
  await progress(runId, 0.25);
  await stream.says('"progress":0.25');
  expect(stream.said).toContain('"phase":"dumping"');
  await progress(runId, 0.5);
  await stream.says('"progress":0.5');
  await link.send(host.report('run', runBody(host, runId, 'succeeded')));
  await stream.ends();
  expect(stream.said).toMatch(/"state":"succeeded"[^]*"progress":1/);
  // Nothing said twice.
  const told = stream.said.split('\n').filter((line) => line.includes(runId));
  expect(new Set(told).size).toBe(told.length);
  expect(told.length).toBe(4);
});

test('of a run that is over, its end and nothing more', async () => {
  const runId = await runningRun();
  await link.send(
    host.report('run', runBody(host, runId, 'failed', { error: { code: 'DumpFailed', text: 'It broke.' } })),
  );
  const stream = await Stream.open(`/api/v1/runs/${runId}/events`);
  await stream.ends();
  expect(stream.said).toMatch(/^event: run\ndata: \{.*"failed".*\}\n\nevent: end\ndata: \{\}\n\n$/);
});

test('who may not see the run does not hear of it', async () => {
  const runId = await runningRun();
  const key = server.keyFor('viewer', ['staging']);
  const answer = await server.rest('GET', `/runs/${runId}/events`, { key });
  expect(answer).toMatchObject({ status: 403, body: { code: 'EnvironmentNotAllowed' } });
  expect(await server.rest('GET', `/runs/${newId(1)}/events`)).toMatchObject({
    status: 404,
    body: { code: 'NotFound' },
  });
  expect((await server.rest('GET', `/runs/${runId}/events`, { key: null })).status).toBe(401);
});

test('a key that is revoked meanwhile hears no more', async () => {
  const runId = await runningRun();
  const key = server.keyFor('viewer', ['production']);
  const streams = await Promise.all([
    Stream.open(`/api/v1/runs/${runId}/events`, key),
    Stream.open(`/trpc/runs.follow?input=${encodeURIComponent(JSON.stringify({ runId }))}`, key),
  ]);
  for (const stream of streams) await stream.says('"state":"running"');
  server.keys.revoke(server.keys.authenticate(`Bearer ${key}`).keyId ?? '', 'local');
  await progress(runId, 0.75);
  for (const stream of streams) {
    await stream.ends();
    expect(stream.said).not.toContain('0.75');
  }
});

test('a client that leaves is forgotten, and so is one that the program leaves', async () => {
  const own = await startControlPlane();
  const elsewhere = own.host('production', 'db1');
  const ownLink = await elsewhere.connect();
  const runId = newId(own.clock.now);
  await ownLink.send(elsewhere.report('run', runBody(elsewhere, runId, 'running')));
  const open = async () => {
    const response = await fetch(`${own.url}/api/v1/runs/${runId}/events`, {
      headers: { authorization: `Bearer ${own.adminKey}` },
    });
    const reader = response.body?.getReader();
    await reader?.read();
    return reader;
  };
  const [first, second] = await Promise.all([open(), open()]);
  await waitFor('two to listen', () => own.followers.count === 2);
  await first?.cancel();
  await waitFor('one to be forgotten', () => own.followers.count === 1);
  await own.stop();
  expect(own.followers.count).toBe(0);
  // Its end is told, then nothing.
  for (;;) if ((await second?.read())?.done !== false) break;
  await ownLink.closed;
});

test('a run that goes on when the program stops is not told as one that has ended', async () => {
  const own = await startControlPlane();
  const elsewhere = own.host('production', 'db1');
  const ownLink = await elsewhere.connect();
  const runId = newId(own.clock.now);
  await ownLink.send(elsewhere.report('run', runBody(elsewhere, runId, 'running')));
  const headers = { authorization: `Bearer ${own.adminKey}` };
  const response = await fetch(`${own.url}/api/v1/runs/${runId}/events`, { headers });
  const said = response.text();
  await waitFor('it to listen', () => own.followers.count === 1);
  await own.stop();
  expect(await said).toMatch(/^event: run\ndata: \{.*"running".*\}\n\n$/);
});

test('one key follows only so much at a time', async () => {
  const runId = await runningRun();
  const key = server.keyFor('viewer', ['production']);
  const { keyId = '' } = server.keys.authenticate(`Bearer ${key}`);
  const places = Array.from({ length: mostStreams }, () => server.followers.take(keyId));
  expect(await server.rest('GET', `/runs/${runId}/events`, { key })).toMatchObject({
    status: 429,
    body: { code: 'RateLimited' },
  });
  places.at(0)?.();
  const stream = await Stream.open(`/api/v1/runs/${runId}/events`, key);
  await stream.says('"state":"running"');
  stream.leave();
  places.forEach((leave) => leave());
  await waitFor('the places to be free', () => server.followers.count === 0);
});
