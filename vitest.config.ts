import { defineConfig } from 'vitest/config';

/** One project per package and app; `e2e` starts the built programs together. Real servers take a while: no short timeouts. */
export default defineConfig({
  test: {
    projects: ['packages/*', 'apps/*', 'e2e'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
