import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Makes a program's own directory, 0700, with those above it. Folder by folder: Node's own recursive mkdir never comes back
 * from a file system that answers ENOENT to everything, as /proc does.
 * @throws the system's error
 */
export function makeOwnDirectory(path: string): void {
  make(path, false);
}

function make(path: string, parentMade: boolean): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : '';
    // There already, or made by another start just now.
    if (code === 'EEXIST' && statSync(path).isDirectory()) return;
    if (code !== 'ENOENT' || parentMade || dirname(path) === path) throw error;
    make(dirname(path), false);
    make(path, true);
  }
}
