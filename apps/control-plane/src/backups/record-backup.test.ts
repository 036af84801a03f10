import { newId } from '@strideiq/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { backups } from '../catalog/schema.ts';
import { bucketStore, TestHost } from '../testing/host.ts';
import { startReporting, type Reporting } from '../testing/reporting-host.ts';
import { madeBackup } from '../testing/reports.ts';

let gateway: Reporting['gateway'];
let host: Reporting['host'];
let link: Reporting['link'];
let newRun: Reporting['newRun'];
let says: Reporting['says'];
let answersTo: Reporting['answersTo'];
let runRow: Reporting['runRow'];
let copyRows: Reporting['copyRows'];
let backupReports: Reporting['backupReports'];
beforeEach(async () => {
  ({ gateway, host, link, newRun, says, answersTo, runRow, copyRows, backupReports } = await startReporting());
});
afterEach(async () => await gateway.stop());

describe('a backup', () => {
  test('of which no store has a copy has failed', async () => {
    const error = { code: 'StorageFull', text: 'full' };
    const failed = madeBackup(host).copies.map((copy) => ({ ...copy, state: 'failed' as const, error }));
    const report = says(newRun(), 'failed', { backup: madeBackup(host, { copies: failed }) });
    await link.send({ ...report, at: '2026-11-20T03:00:00.000Z' });
    expect(gateway.catalog.select().from(backups).all()).toMatchObject([{ state: 'failed' }]);
    const hostSince = Date.parse('2026-11-20T03:00:00.000Z');
    expect(copyRows()).toMatchObject([{ state: 'failed', errorCode: 'StorageFull', error: 'full', hostSince }, {}]);
  });

  test('of a run that failed has succeeded where a store holds it', async () => {
    await link.send(says(newRun(), 'failed', { backup: madeBackup(host) }));
    expect(gateway.catalog.select().from(backups).all()).toMatchObject([{ state: 'succeeded' }]);
  });

  test('that is told of while its run goes on ends with it', async () => {
    const runId = newRun();
    const backup = madeBackup(host);
    const [first, ...others] = backup.copies;
    if (!first) throw new Error('none');
    const halfway = { ...backup, copies: [{ ...first, state: 'failed' as const }, ...others] };
    await link.send(says(runId, 'running', { backup: halfway }));
    expect(gateway.catalog.select().from(backups).all()).toMatchObject([{ state: 'running' }]);
    await link.send(says(runId, 'succeeded', { backup }));
    expect(gateway.catalog.select().from(backups).all()).toMatchObject([{ state: 'succeeded' }]);
    expect(copyRows()).toMatchObject([{ state: 'stored' }, { state: 'stored' }]);
  });

  test('is taken without the copy in a store that nobody knows, and says so', async () => {
    const runId = newRun();
    const backup = madeBackup(host);
    const gone = { storeId: newId(1), key: backup.objectName, state: 'stored' as const };
    await link.send(says(runId, 'succeeded', { backup: { ...backup, copies: [...backup.copies, gone] } }));
    expect(copyRows()).toHaveLength(2);
    expect(runRow(runId)?.outcome?.warnings).toEqual([expect.stringContaining(gone.storeId)]);
  });

  test('is taken without the copy in a store that is another database’s, as its hello was told', async () => {
    const first = new TestHost(gateway, 'production', 'db2').looksAfter('other');
    first.databases[0]?.stores.push(bucketStore('shared/'));
    await (await first.enrol().connect()).close();
    const shared = bucketStore('shared/');
    host.databases[0]?.stores.push(shared);
    const back = await host.connect();
    expect(back.welcome?.refusedDatabases).toMatchObject([{ code: 'StoreOwnedElsewhere' }]);
    const runId = newRun();
    await back.send(says(runId, 'succeeded', { backup: madeBackup(host) }));
    expect(runRow(runId)).toMatchObject({
      state: 'succeeded',
      outcome: { warnings: [expect.stringContaining(shared.storeId)] },
    });
    expect(
      copyRows()
        .map(({ storeId }) => storeId)
        .sort(),
    ).toEqual([host.storeId(0), host.storeId(1)].sort());
  });

  test('of another run cannot be told again as this one’s', async () => {
    const backup = madeBackup(host);
    await link.send(...backupReports(newRun(), backup));
    const before = gateway.catalog.select().from(backups).all();
    expect(await answersTo(says(newRun(), 'succeeded', { backup: { ...backup, bytes: 5 } }))).toEqual(['NotOwner']);
    expect(gateway.catalog.select().from(backups).all()).toEqual(before);
  });
});
