import { newId } from '@strideiq/core';
import { waitFor } from '@strideiq/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { madeBackup, runBody } from '../testing/reports.ts';

let server: TestControlPlane;
beforeAll(async () => {
  server = await startControlPlane();
});
afterAll(async () => server.stop());

const move = async (databaseId: string, agentId: string) =>
  server.rest('POST', `/databases/${databaseId}/move`, { body: { agentId } });

test('a database goes to another agent, and with it whose word is taken', async () => {
  const [former, latter] = [server.host('production', 'old'), server.host('production', 'new')];
  const formerLink = await former.connect();
  const latterLink = await latter.connect();
  expect(latterLink.welcome?.refusedDatabases).toMatchObject([{ code: 'DatabaseOwnedElsewhere' }]);
  const databaseId = former.databaseId();
  expect(await move(databaseId, latter.agentId)).toMatchObject({ status: 200, body: { agentId: latter.agentId } });
  // Both are made to say hello anew, and so learn what is theirs.
  await Promise.all([formerLink.closed, latterLink.closed]);
  const [formerAgain, latterAgain] = [await former.connect(), await latter.connect()];
  expect(latterAgain.welcome?.refusedDatabases).toEqual([]);
  expect(formerAgain.welcome?.refusedDatabases).toMatchObject([{ code: 'DatabaseOwnedElsewhere' }]);
  const taken = await latterAgain.send(latter.report('run', runBody(latter, newId(1), 'running')));
  const refused = await formerAgain.send(former.report('run', runBody(former, newId(2), 'running')));
  expect([taken, refused].map(({ answers }) => answers[0]?.answer)).toEqual(['accepted', 'rejected']);
  expect((await server.rest('GET', '/audit?action=database.move')).body['items']).toMatchObject([
    { environment: 'production', subject: databaseId, detail: { from: former.agentId, to: latter.agentId } },
  ]);
  // Again, it changes nothing, and nobody is disturbed.
  expect((await move(databaseId, latter.agentId)).status).toBe(200);
  expect(latterAgain.isClosed).toBe(false);
  expect((await server.rest('GET', '/audit?action=database.move')).body['items']).toHaveLength(1);
  await Promise.all([formerAgain.close(), latterAgain.close()]);
});

test('what the former agent had in hand is given up, and none of it is sent to it again', async () => {
  const [former, latter] = [server.host('moved', 'old'), server.host('moved', 'new')];
  const link = await former.connect();
  await (await latter.connect()).close();
  const databaseId = former.databaseId();
  const going = newId(3);
  await link.send(former.report('run', runBody(former, going, 'running')));
  await link.close();
  const isGone = async () => (await server.rest('GET', `/agents/${former.agentId}`)).body['connected'] === false;
  await waitFor('the former to be gone', isGone);
  const { runId: waiting } = (await server.rest('POST', '/backups', { body: { databaseId } })).body as {
    runId: string;
  };
  await move(databaseId, latter.agentId);
  const states = async () =>
    Promise.all([going, waiting].map(async (id) => (await server.rest('GET', `/runs/${id}`)).body['state']));
  expect(await states()).toEqual(['lost', 'cancelled']);
  const back = await former.connect();
  const ended = former.report('run', runBody(former, going, 'succeeded'));
  expect((await back.send(ended)).answers).toMatchObject([{ answer: 'rejected', code: 'NotOwner' }]);
  await back.api.settled.mutate({ openRunIds: [], openCommandIds: [] });
  expect(back.commands).toEqual([]);
  expect(await states()).toEqual(['lost', 'cancelled']);
  await back.close();
});

test('what its new agent had told of it before is asked for again, and taken', async () => {
  const [former, latter] = [server.host('rebuilt', 'lost'), server.host('rebuilt', 'new')];
  await (await former.connect()).close();
  const link = await latter.connect();
  const backup = madeBackup(latter);
  const told = [
    latter.report('command', { commandId: newId(5), state: 'done' }),
    latter.report('run', runBody(latter, newId(4), 'succeeded', { backup })),
  ];
  expect((await link.send(...told)).answers.map(({ answer }) => answer)).toEqual(['accepted', 'rejected']);
  await move(latter.databaseId(), latter.agentId);
  const back = await latter.connect();
  expect(back.welcome?.highWater).toBe(0);
  expect((await back.send(...told)).answers.map(({ answer }) => answer)).toEqual(['duplicate', 'accepted']);
  expect(await server.rest('GET', `/backups/${backup.backupId}`)).toMatchObject({ body: { state: 'succeeded' } });
  await back.close();
});

test('never into another environment, and never to an agent that can report nothing', async () => {
  const host = server.host('eu', 'db1', 'shop');
  const [other, revoked] = [server.host('us', 'db2', 'shop'), server.host('eu', 'db3', 'more')];
  await (await host.connect()).close();
  expect(await move(host.databaseId(), other.agentId)).toMatchObject({
    status: 409,
    body: { code: 'EnvironmentMismatch' },
  });
  await server.rest('POST', `/agents/${revoked.agentId}/revoke`);
  expect(await move(host.databaseId(), revoked.agentId)).toMatchObject({
    status: 409,
    body: { code: 'ActionNotAllowed' },
  });
  expect((await server.rest('GET', `/databases/${host.databaseId()}`)).body).toMatchObject({ agentId: host.agentId });
});
