import { newId } from '@strideiq/core';
import { waitFor } from '@strideiq/testkit';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { alerts, databases } from '../catalog/schema.ts';
import { channelsSchema } from '../channels/schema.ts';
import { startAlertStage, toldTo, type AlertStage } from '../testing/alert-stage.ts';
import type { TestHost, TestLink } from '../testing/host.ts';
import { startReceiver, type Receiver } from '../testing/receiver.ts';
import { madeBackup, runBody } from '../testing/reports.ts';
import { acknowledgeAlert, silenceAlert, unsilenceAlert } from './change-alert.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

let receiver: Receiver;
let stage: AlertStage;
let host: TestHost;
let link: TestLink;
beforeEach(async () => {
  receiver = await startReceiver();
  stage = await startAlertStage(
    channelsSchema.parse({ team: { type: 'webhook', url: receiver.url, severity: 'info', digest: {} } }),
  );
  host = stage.host();
  link = await host.connect();
});
afterEach(async () => {
  await stage.stop();
  await receiver.stop();
});

const told = () => toldTo(receiver);
const words = () => told().map(({ kind, rule }) => `${kind} ${rule}`);
function alertOf(rule: string) {
  const row = stage.rows().find((each) => each.rule === rule);
  if (!row) throw new Error(`there is no alert ${rule}`);
  return row;
}

describe('25 hours without a backup', () => {
  test('are told within a minute, and so is their end', async () => {
    await stage.backedUp(link, host);
    await stage.pass(25 * hour);
    expect(stage.open()).not.toContain('noBackup');
    await stage.pass(minute);
    expect(stage.open()).toContain('noBackup');
    await stage.pass(2 * minute);
    await stage.delivered();
    expect(words()).toContain('opened noBackup');
    const [opened] = told().filter(({ rule }) => rule === 'noBackup');
    expect(opened).toMatchObject({ title: 'No backup: app (production)', alerts: [{ subject: 'app' }] });
    expect(opened?.alerts[0]?.text).toContain('25 h');
    await stage.backedUp(link, host);
    await stage.pass(10 * minute);
    await stage.delivered();
    expect(stage.open()).not.toContain('noBackup');
    expect(words()).toContain('resolved noBackup');
  });

  test('also where the agent is away, and is told of as well', async () => {
    await stage.backedUp(link, host);
    await link.close();
    await waitFor('it to be seen', () => !stage.connections.isConnected(host.agentId));
    await stage.pass(25 * hour + minute);
    expect(stage.open()).toEqual(expect.arrayContaining(['agentAway', 'noBackup']));
    // What it did meanwhile counts for when it was.
    const away = stage.clock.now;
    stage.clock.now -= hour;
    const snapshotAt = new Date(stage.clock.now).toISOString();
    const ended = { startedAt: snapshotAt, finishedAt: snapshotAt, backup: madeBackup(host, { snapshotAt }) };
    const report = host.report('run', runBody(host, newId(stage.clock.now), 'succeeded', ended));
    stage.clock.now = away;
    link = await host.connect();
    await link.send(report);
    await stage.pass(3 * minute);
    expect(stage.open()).not.toContain('noBackup');
    expect(stage.open()).not.toContain('agentAway');
  });

  test('also where the control plane was down when they were over', async () => {
    await stage.backedUp(link, host);
    await link.close();
    await waitFor('it to be seen', () => !stage.connections.isConnected(host.agentId));
    stage.clock.now += 40 * hour;
    await stage.restart();
    await stage.pass(minute);
    expect(stage.open()).toContain('noBackup');
    // Nobody could be there while it was down: hosts are given the time to come back.
    expect(stage.open()).not.toContain('agentAway');
    await stage.pass(5 * minute);
    expect(stage.open()).toContain('agentAway');
  });

  test('also where a schedule is to blame that names no time at all', async () => {
    host.databases = host.databases.map((each) => ({ ...each, policy: {} }));
    await link.close();
    link = await host.connect();
    await stage.pass(25 * hour + minute);
    expect(stage.open()).toContain('noBackup');
  });
});

test('what a store holds otherwise than it should is told, and so is that it is over', async () => {
  await stage.backedUp(link, host);
  const item = { kind: 'changed' as const, key: 'app_20260111_030000.sql.gz', text: 'It was written again.' };
  const about = { databaseId: host.databaseId(), storeId: host.storeId() };
  await link.send(host.report('drift', { ...about, items: [item] }));
  await stage.pass(2 * minute);
  await stage.delivered();
  expect(stage.open()).toContain('drift');
  const [opened] = told().filter(({ rule }) => rule === 'drift');
  expect(opened?.alerts).toMatchObject([{ subject: 'app in local', text: 'In local: It was written again.' }]);
  await link.send(host.report('drift', { ...about, items: [] }));
  await stage.pass(10 * minute);
  await stage.delivered();
  expect(stage.open()).not.toContain('drift');
  expect(words()).toContain('resolved drift');
});

test('whoever was told that it began hears that it is over, however little was left of it at its end', async () => {
  const other = await startReceiver();
  const calm = await startAlertStage(
    channelsSchema.parse({ team: { type: 'webhook', url: other.url, rules: ['drift'] } }),
  );
  const its = calm.host();
  const itsLink = await its.connect();
  const about = { databaseId: its.databaseId(), storeId: its.storeId() };
  const item = (kind: 'changed' | 'unmanaged') => ({ kind, key: 'app_20260111_030000.sql.gz', text: 'It is there.' });
  const say = async (...items: ReturnType<typeof item>[]) => {
    await itsLink.send(its.report('drift', { ...about, items }));
    await calm.pass(20 * minute, 5 * minute);
  };
  const kinds = () => other.bodies().map(({ kind }) => kind);
  try {
    await say(item('changed'));
    await waitFor('its beginning', () => kinds().length === 1);
    await say(item('unmanaged'));
    expect(calm.rows()).toMatchObject([{ rule: 'drift', severity: 'info' }]);
    await say();
    await waitFor('its end', () => kinds().length === 2);
    expect(kinds()).toEqual(['opened', 'resolved']);
    // What is of no interest to it from the beginning is not told to it at all.
    calm.clock.now += 3 * hour;
    await say(item('unmanaged'));
    await say();
    expect(kinds()).toHaveLength(2);
  } finally {
    await itsLink.close();
    await calm.stop();
    await other.stop();
  }
});

test('a database that cannot be read keeps no other from being judged, and its alerts stay', async () => {
  const other = stage.host('db2', 'other');
  const otherLink = await other.connect();
  await stage.pass(25 * hour + minute);
  const openOf = (name: string) =>
    stage.rows().filter((row) => row.rule === 'noBackup' && row.name === name && row.resolvedAt === null).length;
  expect([openOf('app'), openOf('other')]).toEqual([1, 1]);
  stage.catalog.$client.prepare("UPDATE policies SET policy = '{' WHERE database_id = ?").run(host.databaseId());
  await stage.backedUp(otherLink, other);
  await stage.pass(2 * minute);
  expect([openOf('app'), openOf('other')]).toEqual([1, 0]);
  expect(stage.said.map(({ text }) => text)).toContainEqual(expect.stringMatching(/^rules could not judge app: /));
  await otherLink.close();
});

test('what has arrived and cannot be written down is not sent again and again', async () => {
  stage.catalog.$client.exec(
    "CREATE TEMP TRIGGER full BEFORE UPDATE OF state ON notices BEGIN SELECT RAISE(ABORT, 'disk is full'); END",
  );
  await stage.pass(25 * hour + 2 * minute);
  await waitFor('a message to arrive', () => words().length > 0);
  const [first] = words();
  for (let times = 0; times < 5; times++) {
    await stage.look();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect(words()).toEqual([first]);
  stage.catalog.$client.exec('DROP TRIGGER full');
  await stage.delivered();
  expect(words().filter((each) => each === first)).toEqual([first]);
  expect(words()).toContain('opened noBackup');
});

test('a database that its host does not name any more has no alerts', async () => {
  await stage.pass(26 * hour);
  expect(stage.open()).toContain('noBackup');
  stage.catalog.update(databases).set({ declared: false }).run();
  await stage.look();
  expect(stage.open()).toEqual([]);
});

test('what somebody has taken on is told of no more before its end, and the note stays with it', async () => {
  await stage.pass(25 * hour + 2 * minute);
  const row = alertOf('noBackup');
  acknowledgeAlert(stage, { alertId: row.id, actor: 'key-1', note: 'the host is being moved' });
  await stage.pass(30 * hour);
  await stage.delivered();
  expect(words().filter((each) => each.endsWith('noBackup'))).toEqual(['opened noBackup']);
  await stage.backedUp(link, host);
  await stage.pass(2 * hour);
  await stage.delivered();
  expect(words().filter((each) => each.endsWith('noBackup'))).toEqual(['opened noBackup', 'resolved noBackup']);
  expect(stage.rows().find(({ id }) => id === row.id)).toMatchObject({
    note: 'the host is being moved',
    acknowledgedBy: 'key-1',
    state: 'resolved',
  });
  expect(() => acknowledgeAlert(stage, { alertId: row.id, actor: 'key-1', note: undefined })).toThrow(/was resolved/);
});

test('a silence is kept for its time, and ended by hand', async () => {
  await stage.pass(25 * hour + 2 * minute);
  const { id: alertId } = alertOf('noBackup');
  const silence = { alertId, actor: 'key-1', note: undefined };
  expect(() => silenceAlert(stage, { ...silence, until: stage.clock.now })).toThrow(/over already/);
  silenceAlert(stage, { ...silence, until: stage.clock.now + 3 * day });
  await stage.pass(day);
  await stage.delivered();
  expect(words().filter((each) => each.endsWith('noBackup'))).toEqual(['opened noBackup']);
  unsilenceAlert(stage, silence);
  await stage.pass(2 * minute);
  await stage.delivered();
  expect(words().filter((each) => each.endsWith('noBackup'))).toEqual(['opened noBackup', 'reminder noBackup']);
});

test('once a week there is a proof of every database', async () => {
  await stage.look();
  await stage.backedUp(link, host);
  await stage.pass(7 * day);
  await stage.delivered();
  const digests = receiver.bodies().filter(({ kind }) => kind === 'digest');
  expect(digests).toHaveLength(1);
  expect(digests[0]).toMatchObject({
    title: expect.stringMatching(/^Backups of 1 databases: \d+ alerts are open$/) as string,
    table: {
      head: ['DATABASE', 'LAST BACKUP', 'LAST READ BACK', 'LAST DRILL', 'COPIES KEPT'],
      rows: [['production/app', expect.stringContaining(' ago') as string, 'never', 'never', '1 in local, 1 in s3']],
    },
  });
}, 120_000);

test('there is never more than one alert of a rule and a subject, whatever else is written', () => {
  const alert = {
    rule: 'drift',
    subject: 'store:1',
    name: 's',
    state: 'open',
    severity: 'info',
    text: '',
    openedAt: 1,
    told: 0,
  } as const;
  stage.catalog
    .insert(alerts)
    .values({ id: 'one', ...alert })
    .run();
  expect(() =>
    stage.catalog
      .insert(alerts)
      .values({ id: 'two', ...alert })
      .run(),
  ).toThrow(/UNIQUE/);
});
