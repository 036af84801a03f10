import { eq } from 'drizzle-orm';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { audit } from '../catalog/schema.ts';
import { newestBackup } from '../restores/choose-backup.ts';
import { startReporting, type Reporting } from '../testing/reporting-host.ts';
import { madeBackup } from '../testing/reports.ts';

let parts: Reporting;
let backup: ReturnType<typeof madeBackup>;
beforeEach(async () => {
  parts = await startReporting();
  backup = madeBackup(parts.host);
  await parts.link.send(...parts.backupReports(parts.newRun(), backup));
});
afterEach(async () => await parts.gateway.stop());

const deletion = (more: object = {}) =>
  parts.host.report('deletion', {
    databaseId: parts.host.databaseId(),
    storeId: parts.host.storeId(),
    key: backup.objectName,
    reason: 'no rule keeps it any more',
    ...more,
  });
const states = () => Object.fromEntries(parts.copyRows().map(({ storeId, state }) => [storeId, state]));

test('a copy that its host has removed is deleted, and stands in the audit', async () => {
  const { gateway, host, answersTo } = parts;
  expect(await answersTo(deletion())).toEqual(['accepted']);
  expect(states()[host.storeId()]).toBe('deleted');
  expect(gateway.catalog.select().from(audit).all().at(-1)).toMatchObject({
    actor: `agent:${host.agentId}`,
    action: 'copy.delete',
    environment: 'production',
    subject: host.databaseId(),
    detail: { backupId: backup.backupId, key: backup.objectName, reason: 'no rule keeps it any more' },
  });
});

test('of a bucket no host’s word is taken', async () => {
  const { answersTo } = parts;
  const [, bucket] = backup.copies;
  expect(await answersTo(deletion({ storeId: bucket?.storeId }))).toEqual(['NotOwner']);
  expect(new Set(Object.values(states()))).toEqual(new Set(['stored']));
});

test('said twice it is one deletion', async () => {
  const { gateway, host, answersTo } = parts;
  const twice = [await answersTo(deletion()), await answersTo(deletion())];
  expect([twice, states()[host.storeId()]]).toEqual([[['accepted'], ['accepted']], 'deleted']);
  expect(gateway.catalog.select().from(audit).where(eq(audit.action, 'copy.delete')).all()).toHaveLength(1);
  expect(newestBackup(gateway.catalog, host.databaseId(), gateway.now())?.id).toBe(backup.backupId);
});

test('one that the catalog never knew changes nothing; another’s is refused', async () => {
  const { gateway, answersTo } = parts;
  const before = gateway.catalog.select().from(audit).all();
  expect(await answersTo(deletion({ key: 'app_20200101_030000.sql.gz' }))).toEqual(['accepted']);
  expect(new Set(Object.values(states()))).toEqual(new Set(['stored']));
  expect(gateway.catalog.select().from(audit).all()).toEqual(before);
  expect(await answersTo(deletion({ storeId: '00000000-0000-5000-8000-000000000000' }))).toEqual(['NotOwner']);
});
