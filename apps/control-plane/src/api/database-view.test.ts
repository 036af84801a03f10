import { newId } from '@strideiq/core';
import { expect, test } from 'vitest';
import { startControlPlane } from '../testing/control-plane.ts';
import { madeBackup, runBody } from '../testing/reports.ts';

test('the last backup of a database is the one that a restore of the latest takes', async () => {
  const server = await startControlPlane();
  const visitor = server.host('eu', 'db3', 'shop');
  const visit = await visitor.connect();
  // A clock that is some seconds ahead, one that is right before that, and one that is off by an hour.
  const backups = [30_000, -60_000, 3_600_000].map((aheadMs) => {
    const snapshotAt = new Date(server.clock.now + aheadMs).toISOString();
    return { ...madeBackup(visitor, { snapshotAt }), finishedAt: snapshotAt };
  });
  for (const { finishedAt, ...backup } of backups) {
    await visit.send(visitor.report('run', runBody(visitor, newId(Date.now()), 'succeeded', { backup, finishedAt })));
  }
  const { body } = await server.rest('GET', `/databases/${visitor.databaseId()}`);
  expect(body['lastBackup']).toMatchObject({ id: backups[0]?.backupId });
  const target = { agentId: visitor.agentId, mode: 'fresh', database: 'restored' };
  const asked = await server.rest('POST', '/restores', {
    body: { databaseId: visitor.databaseId(), latest: true, target },
  });
  const run = await server.rest('GET', `/runs/${String(asked.body['runId'])}`);
  expect(run.body['backupId']).toBe(backups[0]?.backupId);
  await visit.close();
  await server.stop();
});
