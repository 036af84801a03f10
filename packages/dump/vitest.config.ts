import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: { name: '@strideiq/dump', testTimeout: 120_000, hookTimeout: 120_000 },
});
