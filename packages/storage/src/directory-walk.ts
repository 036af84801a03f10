import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { failedWith } from './directory-files.ts';
import { compareKeys, nameOfPartial } from './keys.ts';

/** A regular file of a directory store. */
export interface FoundFile {
  path: string;
  /** The key it is the object of, or the one it was to become the object of. */
  key: string;
  partial: boolean;
}

/**
 * Regular files below `root` whose key begins with `prefix`, in ascending order of their keys' bytes. Links, sockets
 * and the like are no objects. Only the listings of the folders on the way down are held.
 */
export async function* walk(root: string, prefix: string, folderKey = ''): AsyncGenerator<FoundFile> {
  const entries = await readdir(join(root, folderKey), { withFileTypes: true }).catch((error: unknown) => {
    // Not made before the first put, or removed while we walk.
    if (failedWith(error, 'ENOENT')) return [];
    throw error;
  });
  for (const { entry, key } of inKeyOrder(entries, folderKey)) {
    if (entry.isDirectory()) {
      if (key.startsWith(prefix) || prefix.startsWith(key)) yield* walk(root, prefix, key);
      continue;
    }
    const final = nameOfPartial(entry.name);
    const objectKey = final === undefined ? key : folderKey + final;
    if (!objectKey.startsWith(prefix)) continue;
    yield { path: join(root, key), key: objectKey, partial: final !== undefined };
  }
}

/** A folder sorts as its name with the slash that all keys in it go on with: `a-b` before `a/b` before `a0`. */
function inKeyOrder(entries: Dirent[], folderKey: string): { entry: Dirent; key: string }[] {
  return (
    entries
      .filter((entry) => entry.isFile() || entry.isDirectory())
      // At the root of a disk of its own; only root may look into it, and nothing of ours is in there.
      .filter((entry) => !(folderKey === '' && entry.name === 'lost+found'))
      .map((entry) => ({ entry, key: `${folderKey}${entry.name}${entry.isDirectory() ? '/' : ''}` }))
      .sort((a, b) => compareKeys(a.key, b.key))
  );
}
