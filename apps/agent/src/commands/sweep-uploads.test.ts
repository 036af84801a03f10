import { mkdtempSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newId, uploadKey } from '@strideiq/core';
import { once, openDirectoryStore } from '@strideiq/storage';
import { expect, test } from 'vitest';
import { sweepUploads } from './sweep-uploads.ts';

test('an upload that nobody restored for a day is removed, and nothing else', async () => {
  const path = mkdtempSync(join(tmpdir(), 'strideiq-sweep-'));
  try {
    const store = openDirectoryStore({ path, host: 'here' });
    const now = Date.now();
    const [old, young] = [uploadKey(newId(1)), uploadKey(newId(2))];
    const others = ['uploads/notes.txt', 'app_20260111_030000.sql.gz'];
    for (const key of [old, young, ...others]) await store.put(key, once(Buffer.from('x')));
    const dayAgo = new Date(now - 86_400_000 - 1000);
    for (const key of [old, ...others]) utimesSync(join(path, key), dayAgo, dayAgo);
    await sweepUploads(store, now);
    const left = (await Array.fromAsync(store.list())).map(({ key }) => key);
    expect(left).toEqual([...others, young].toSorted());
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
});
