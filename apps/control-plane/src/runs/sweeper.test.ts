import { newId } from '@strideiq/core';
import { waitFor } from '@strideiq/testkit';
import { eq } from 'drizzle-orm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { alerts, agents, commands, enrolTokens, idempotencyKeys, reports, runs, notices } from '../catalog/schema.ts';
import { startGateway, type TestGateway } from '../testing/gateway.ts';
import { TestHost, type TestLink } from '../testing/host.ts';
import { notice } from '../testing/notices.ts';
import { runBody } from '../testing/reports.ts';
import { Sweeper } from './sweeper.ts';

let gateway: TestGateway;
let host: TestHost;
let link: TestLink;
beforeEach(async () => {
  gateway = await startGateway();
  host = new TestHost(gateway, 'production', 'db1').looksAfter('app').enrol();
  link = await host.connect();
});
afterEach(async () => await gateway.stop());

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const ask = async () => (await gateway.work.requestBackup({ databaseId: host.databaseId() }, { keyId: 'key-1' })).runId;
const runRow = (id: string) => gateway.catalog.select().from(runs).where(eq(runs.id, id)).get();
const commandOf = (runId: string) => gateway.catalog.select().from(commands).where(eq(commands.runId, runId)).get();
const begin = async () => {
  const runId = newId(gateway.now());
  await link.send(host.report('run', runBody(host, runId, 'running')));
  return runId;
};
const leave = async () => {
  await link.close();
  await waitFor('the agent to be gone', () => !gateway.connections.isConnected(host.agentId));
};

describe('a command whose time is over', () => {
  test('expires with its run, whether it was sent or not, and not before', async () => {
    const sent = await ask();
    await waitFor('the command', () => link.commands.length === 1);
    await leave();
    const unsent = await ask();
    gateway.clock.now += hourMs - 1;
    gateway.sweeper.sweep();
    expect([sent, unsent].map((id) => runRow(id)?.state)).toEqual(['dispatched', 'queued']);
    gateway.clock.now += 1;
    gateway.sweeper.sweep();
    for (const id of [sent, unsent]) {
      expect(runRow(id)).toMatchObject({ state: 'expired', endedAt: gateway.now(), errorCode: 'CommandExpired' });
      expect(commandOf(id)).toMatchObject({ state: 'expired', endedAt: gateway.now() });
    }
    expect(runRow(sent)?.error).toContain('did not confirm it');
    expect(runRow(unsent)?.error).toContain('not connected');
  });

  test('that was acknowledged is the host’s own', async () => {
    const runId = await ask();
    await waitFor('the command', () => link.commands.length === 1);
    await link.api.acknowledge.mutate({ commandId: commandOf(runId)?.id ?? '' });
    gateway.clock.now += 2 * hourMs;
    gateway.sweeper.sweep();
    expect(runRow(runId)).toMatchObject({ state: 'dispatched' });
  });

  test('is acknowledged after all where the word of that comes late', async () => {
    const runId = await ask();
    await waitFor('the command', () => link.commands.length === 1);
    gateway.clock.now += hourMs;
    gateway.sweeper.sweep();
    await link.api.acknowledge.mutate({ commandId: commandOf(runId)?.id ?? '' });
    expect(commandOf(runId)).toMatchObject({ state: 'acknowledged' });
    await link.send(host.report('run', runBody(host, runId, 'running')));
    expect(runRow(runId)).toMatchObject({ state: 'running' });
  });

  test('to cancel leaves the run alone', async () => {
    const runId = await begin();
    await gateway.work.cancelRun(runId, { keyId: 'key-1' });
    gateway.clock.now += 5 * minuteMs;
    gateway.sweeper.sweep();
    expect(runRow(runId)).toMatchObject({ state: 'running' });
    expect(gateway.catalog.select().from(commands).get()).toMatchObject({ kind: 'cancel', state: 'expired' });
  });
});

describe('a run of an agent that is away', () => {
  test('is lost after a day, and comes back with its report', async () => {
    const runId = await begin();
    await leave();
    gateway.clock.now += dayMs - 1;
    gateway.sweeper.sweep();
    expect(runRow(runId)).toMatchObject({ state: 'running' });
    gateway.clock.now += 1;
    gateway.sweeper.sweep();
    expect(runRow(runId)).toMatchObject({ state: 'lost', errorCode: 'RunLost', endedAt: gateway.now() });
    const back = await host.connect();
    await back.send(host.report('run', runBody(host, runId, 'succeeded')));
    expect(runRow(runId)).toMatchObject({ state: 'succeeded', errorCode: null });
  });

  test('is not lost while it is connected, however long nothing is heard of the run', async () => {
    const runId = await begin();
    gateway.clock.now += 3 * dayMs;
    gateway.sweeper.sweep();
    expect(runRow(runId)).toMatchObject({ state: 'running' });
    expect(gateway.catalog.select().from(agents).get()).toMatchObject({ lastSeenAt: gateway.now() });
  });

  test('is not lost because this program was away, until its agent had time to come back', async () => {
    const runId = await begin();
    await leave();
    gateway.clock.now += 3 * dayMs;
    const restarted = new Sweeper(gateway);
    restarted.sweep();
    gateway.clock.now += 10 * minuteMs - 1;
    restarted.sweep();
    expect(runRow(runId)).toMatchObject({ state: 'running' });
    gateway.clock.now += 1;
    restarted.sweep();
    expect(runRow(runId)).toMatchObject({ state: 'lost' });
  });

  test('is lost also where that it left could not be written down', async () => {
    const runId = await begin();
    gateway.catalog.$client.pragma('query_only = ON');
    await leave();
    gateway.catalog.$client.pragma('query_only = OFF');
    gateway.clock.now += dayMs;
    gateway.sweeper.sweep();
    expect(runRow(runId)).toMatchObject({ state: 'lost' });
  });

  test('takes its command with it', async () => {
    const runId = await ask();
    await waitFor('the command', () => link.commands.length === 1);
    await link.api.acknowledge.mutate({ commandId: commandOf(runId)?.id ?? '' });
    await leave();
    gateway.clock.now += dayMs;
    gateway.sweeper.sweep();
    expect(runRow(runId)).toMatchObject({ state: 'lost' });
    expect(commandOf(runId)).toMatchObject({ state: 'expired' });
  });
});

describe('a run that its agent forgot', () => {
  const settle = async (openRunIds: string[] = [], openCommandIds: string[] = []) =>
    await link.api.settled.mutate({ openRunIds, openCommandIds });

  test('is lost once the agent has told all it knows', async () => {
    const [forgotten, going] = [await begin(), await begin()];
    const ended = await begin();
    await link.send(host.report('run', runBody(host, ended, 'failed')));
    await settle([going]);
    expect([forgotten, going, ended].map((id) => runRow(id)?.state)).toEqual(['lost', 'running', 'failed']);
    expect(runRow(forgotten)).toMatchObject({ errorCode: 'RunLost', endedAt: gateway.now() });
  });

  test('is none whose command it still has, or has not confirmed', async () => {
    const runIds = [await ask(), await ask(), await ask()];
    await waitFor('the commands', () => link.commands.length === 3);
    const [waiting = '', taken = '', dropped = ''] = runIds;
    for (const id of [taken, dropped]) await link.api.acknowledge.mutate({ commandId: commandOf(id)?.id ?? '' });
    await leave();
    const unsent = await ask();
    link = await host.connect({ commandKinds: ['verify'] });
    await settle([], [commandOf(taken)?.id ?? '']);
    expect([waiting, taken, dropped, unsent].map((id) => runRow(id)?.state)).toEqual([
      'dispatched',
      'dispatched',
      'lost',
      'queued',
    ]);
    expect([waiting, taken, dropped, unsent].map((id) => commandOf(id)?.state)).toEqual([
      'delivered',
      'acknowledged',
      'expired',
      'queued',
    ]);
  });

  test('is also one whose command it confirmed and nobody knew to be sent: the catalog was set back since', async () => {
    await leave();
    const runId = await ask();
    link = await host.connect({ commandKinds: [] });
    await link.api.acknowledge.mutate({ commandId: commandOf(runId)?.id ?? '' });
    expect(runRow(runId)).toMatchObject({ state: 'dispatched' });
    await settle();
    expect(runRow(runId)).toMatchObject({ state: 'lost' });
  });

  test('is never another agent’s', async () => {
    const runId = await begin();
    const other = new TestHost(gateway, 'production', 'db2').enrol();
    const otherLink = await other.connect();
    await otherLink.api.settled.mutate({ openRunIds: [], openCommandIds: [] });
    expect(runRow(runId)).toMatchObject({ state: 'running' });
  });
});

test('what nobody needs any more is taken out, and no sooner', async () => {
  const { idempotencyKey } = { idempotencyKey: 'a' };
  await gateway.work.requestBackup({ databaseId: host.databaseId() }, { keyId: 'key-1', idempotencyKey });
  const report = host.report('run', runBody(host, newId(1), 'running'));
  await link.send(report, { ...host.report('run', runBody(host, newId(1), 'running')), body: {} });
  const left = () =>
    [idempotencyKeys, enrolTokens, reports].map((table) => gateway.catalog.select().from(table).all().length);
  expect(left()).toEqual([1, 1, 2]);
  gateway.clock.now += 7 * dayMs;
  gateway.sweeper.sweep();
  expect(left()).toEqual([1, 1, 2]);
  gateway.clock.now += hourMs;
  gateway.sweeper.sweep();
  expect(left()).toEqual([0, 1, 2]);
  gateway.clock.now += 52 * dayMs;
  gateway.sweeper.sweep();
  expect(left()).toEqual([0, 0, 2]);
  expect((await link.send(report)).answers).toMatchObject([{ answer: 'duplicate' }]);
  gateway.clock.now += dayMs;
  gateway.sweeper.sweep();
  expect(left()).toEqual([0, 0, 0]);
});

test('what was wrong and what was told of it is known for a while; what goes on, for as long as it does', () => {
  const { catalog, clock } = gateway;
  const alert = { rule: 'drift', name: 's', severity: 'info', text: '', openedAt: clock.now, told: 1 } as const;
  catalog
    .insert(alerts)
    .values([
      { ...alert, id: 'over', subject: 'store:1', state: 'resolved', resolvedAt: clock.now },
      { ...alert, id: 'open', subject: 'store:2', state: 'open' },
    ])
    .run();
  const message = {
    channel: 'team',
    group: 'g',
    notice: notice(),
    createdAt: clock.now,
    attempts: 1,
    nextAttemptAt: 0,
  };
  catalog
    .insert(notices)
    .values([
      { ...message, id: 'sent', state: 'sent', endedAt: clock.now },
      { ...message, id: 'waiting', state: 'waiting' },
    ])
    .run();
  const left = () =>
    [alerts, notices].map((table) =>
      catalog
        .select()
        .from(table)
        .all()
        .map(({ id }) => id),
    );
  const sweepAfter = (days: number) => {
    clock.now += days * dayMs;
    gateway.sweeper.sweep();
    return left();
  };
  expect(sweepAfter(30)).toEqual([
    ['over', 'open'],
    ['sent', 'waiting'],
  ]);
  expect(sweepAfter(1)).toEqual([['over', 'open'], ['waiting']]);
  expect(sweepAfter(369)).toEqual([['over', 'open'], ['waiting']]);
  expect(sweepAfter(1)).toEqual([['open'], ['waiting']]);
});

test('goes on by itself until it is stopped, also after a sweep that failed', async () => {
  const runId = await ask();
  gateway.catalog.$client.exec(
    "CREATE TEMP TRIGGER full BEFORE UPDATE ON commands BEGIN SELECT RAISE(ABORT, 'disk is full'); END",
  );
  gateway.clock.now += hourMs;
  gateway.sweeper.start();
  expect(gateway.said.filter(({ level }) => level === 'error')).toHaveLength(1);
  gateway.catalog.$client.exec('DROP TRIGGER full');
  await waitFor('the next sweep', () => runRow(runId)?.state === 'expired');
  gateway.sweeper.stop();
});
