import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

/** Every room, by its package's name. */
const rooms = ['packages', 'apps'].flatMap((floor) =>
  readdirSync(join(import.meta.dirname, floor)).map((room) => join(floor, room)),
);

function nameOf(room: string): string {
  return (JSON.parse(readFileSync(join(import.meta.dirname, room, 'package.json'), 'utf8')) as { name: string }).name;
}

export default defineConfig({
  test: {
    // Real servers, programs and disks take a while on a busy machine.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Also on two cores, where vitest would take one: much of the time is waiting for somebody else's server.
    maxWorkers: 2,
    // Programs that start at once do all their work at once: more of them, and a server is silent for longer than they wait.
    maxConcurrency: 2,
    projects: [...rooms, 'e2e'].map((room) => ({
      extends: true,
      root: join(import.meta.dirname, room),
      test: {
        name: nameOf(room),
        setupFiles: [join(import.meta.dirname, 'tools/vitest-setup.ts')],
        ...(room === 'e2e' ? { globalSetup: join(import.meta.dirname, 'e2e/programs.ts') } : {}),
      },
    })),
  },
});
