import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readAll } from '@strideiq/storage';
import { expect, test } from 'vitest';
import { verifyCopy } from '../verify/verify-copy.ts';
import { sourceOf } from '../backups/resolve-reference.ts';
import { RealParts } from '../testing/real-parts.ts';
import { CopyKeeper } from './copy-keeper.ts';

const real = new RealParts();

test('a bucket that has lost its copy gets it back from a directory, and a directory from the bucket', async () => {
  const { agent, bucket } = real;
  await agent.start();
  const { objectName, backupId, copies } = await real.backedUp();
  await agent.stop();
  const host = await agent.open();
  const signal = new AbortController().signal;
  const nothing = () => undefined;
  const keeper = new CopyKeeper(host, { info: nothing, warn: nothing, error: nothing });
  const lost = (at: number) =>
    host.journal.copies.found({
      databaseId: agent.databaseId(),
      backupId,
      storeId: copies[at]?.storeId ?? '',
      key: objectName,
      state: at === 0 ? 'corrupt' : 'missing',
      problems: [],
    });
  try {
    const local = join(agent.backups, objectName);
    const whole = readFileSync(local);
    for await (const { key } of bucket.list()) {
      if (key.startsWith('app_') || key.startsWith('LATEST')) await bucket.delete(key);
    }
    lost(1);
    await keeper.look(signal);
    expect(await readAll(await bucket.get(objectName))).toEqual(whole);
    lost(0);
    await keeper.look(signal);
    const keys = (await Array.fromAsync(bucket.list())).map(({ key }) => key);
    expect(keys).toEqual(expect.arrayContaining(['LATEST.sql.gz', 'LATEST.manifest.json']));
    const { key, journal } = host;
    const [database] = Object.values(host.configuration.databases);
    const stores = database ? await host.storesOf(database) : [];
    expect(stores).toHaveLength(2);
    for (const opened of stores) {
      const found = await verifyCopy(await sourceOf(opened, objectName), { key, journal, progress: nothing, signal });
      expect(found).toMatchObject({ state: 'verified', trusted: true, problems: [] });
    }
  } finally {
    host.close();
  }
});
