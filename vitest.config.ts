import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

/** Every room, by its package's name. */
const rooms = ['packages', 'apps'].flatMap((floor) => readdirSync(floor).map((room) => join(floor, room)));

function nameOf(room: string): string {
  return (JSON.parse(readFileSync(join(room, 'package.json'), 'utf8')) as { name: string }).name;
}

export default defineConfig({
  test: {
    // Real servers, programs and disks take a while on a busy machine.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    projects: [...rooms, 'e2e'].map((root) => ({ extends: true, root, test: { name: nameOf(root) } })),
  },
});
