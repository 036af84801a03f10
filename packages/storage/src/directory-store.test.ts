import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDirectoryStore } from './directory-store.ts';
import { describeStore } from './testing/conformance.ts';

describeStore('a directory store', async () => {
  const path = await mkdtemp(join(tmpdir(), 'storage-test-'));
  const end = async (): Promise<void> => {
    await rm(path, { recursive: true, force: true });
  };
  return { store: openDirectoryStore({ path: join(path, 'not', 'yet'), host: 'test' }), end };
});
