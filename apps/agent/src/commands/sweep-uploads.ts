import { isUploadKey, uploadPrefix } from '@strideiq/core';
import type { Store } from '@strideiq/storage';

/** Longer than anybody needs from an upload to the end of its restore. */
const keptMs = 86_400_000;

/** Removes uploads that nobody came to restore, or whose restore could not remove them. @throws StorageError */
export async function sweepUploads(store: Store, nowMs: number): Promise<void> {
  for await (const { key, modifiedAt } of store.list(uploadPrefix)) {
    if (isUploadKey(key) && modifiedAt.getTime() < nowMs - keptMs) await store.delete(key);
  }
}
