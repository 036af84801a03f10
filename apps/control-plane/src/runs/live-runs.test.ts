import { newId } from '@strideiq/core';
import { waitFor } from '@strideiq/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startGateway, type TestGateway } from '../testing/gateway.ts';
import { TestHost, type TestLink } from '../testing/host.ts';
import { runBody } from '../testing/reports.ts';

let gateway: TestGateway;
let host: TestHost;
let link: TestLink;
let runId: string;
beforeEach(async () => {
  gateway = await startGateway();
  host = new TestHost(gateway, 'production', 'db1').looksAfter('app').enrol();
  link = await host.connect();
  runId = newId(gateway.now());
  await link.send(host.report('run', runBody(host, runId, 'running')));
});
afterEach(async () => await gateway.stop());

const progress = (id = runId, fraction = 0.5) => ({
  runId: id,
  phase: 'dumping',
  fraction,
  rows: 7,
  table: 'public.a',
});

test('the progress of a run is there until it ends, and written down nowhere', async () => {
  const changes = gateway.catalog.$client.prepare('SELECT total_changes()').pluck();
  const before = changes.get();
  await link.api.progress.mutate({ runs: [progress()] });
  expect(gateway.liveRuns.progressOf(runId)).toEqual({
    ...progress(),
    receivedAt: gateway.now(),
    movedAt: gateway.now(),
  });
  expect(changes.get()).toBe(before);
  await link.send(host.report('run', runBody(host, runId, 'failed')));
  expect(gateway.liveRuns.progressOf(runId)).toBeUndefined();
  await link.api.progress.mutate({ runs: [progress()] });
  expect(gateway.liveRuns.progressOf(runId)).toBeUndefined();
});

test('nothing is kept of a run whose end is told together with more of it', async () => {
  await link.api.progress.mutate({ runs: [progress()] });
  const lines = [{ at: '2026-11-24T08:00:00.000Z', level: 'info' as const, text: 'done' }];
  await link.send(host.report('run', runBody(host, runId, 'failed')), host.report('log', { runId, lines }));
  expect(gateway.liveRuns.progressOf(runId)).toBeUndefined();
});

test('what an agent says of the run of another, or of none, is ignored', async () => {
  const other = await new TestHost(gateway, 'production', 'db2').enrol().connect();
  const nothing = newId(1);
  await other.api.progress.mutate({ runs: [progress(), progress(nothing)] });
  expect(gateway.liveRuns.progressOf(runId)).toBeUndefined();
  expect(gateway.liveRuns.progressOf(nothing)).toBeUndefined();
});

test('who watches a run hears of its state, its log and its progress, and of no other run', async () => {
  const end = new AbortController();
  const other = newId(gateway.now());
  let heard = 0;
  const watching = (async () => {
    for await (const _ of gateway.liveRuns.changes(runId, end.signal)) heard++;
  })();
  await waitFor('the first look', () => heard === 1);
  await link.send(host.report('run', runBody(host, other, 'running')));
  await link.api.progress.mutate({ runs: [progress(other)] });
  expect(heard).toBe(1);
  await link.api.progress.mutate({ runs: [progress()] });
  await waitFor('the progress', () => heard === 2);
  const lines = [{ at: '2026-11-24T08:00:00.000Z', level: 'info' as const, text: 'x' }];
  await link.send(host.report('log', { runId, lines }));
  await waitFor('the log', () => heard === 3);
  await link.send(host.report('run', runBody(host, runId, 'succeeded')));
  await waitFor('the end', () => heard === 4);
  end.abort();
  await watching;
});

test('changes that come faster than they are taken are one', async () => {
  const end = new AbortController();
  const changes = gateway.liveRuns.changes(runId, end.signal);
  await changes.next();
  for (let at = 0; at < 1000; at++) gateway.liveRuns.setProgress(progress(runId, at / 1000), at);
  expect(await changes.next()).toEqual({ done: false, value: undefined });
  const none = changes.next();
  end.abort();
  expect(await none).toEqual({ done: true, value: undefined });
});

test('a watcher whose signal was gone before it began ends at once', async () => {
  expect(await gateway.liveRuns.changes(runId, AbortSignal.abort()).next()).toMatchObject({ done: true });
});
