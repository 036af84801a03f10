#!/usr/bin/env node
/**
 * `npm run quickstart`: installs what is missing, then starts the quickstart itself on Node 24 with all arguments
 * (`npm run quickstart -- --once`). Plain JavaScript that Node 20 runs, before `npm ci`.
 */
import { join } from 'node:path';
import { nodeProgram, repository, runHere } from './programs.mjs';

const setup = await runHere(process.execPath, [join(repository, 'tools', 'setup.mjs'), '--for', 'quickstart']);
process.exitCode =
  setup === 0
    ? await runHere(nodeProgram(), [join(repository, 'e2e', 'quickstart', 'quickstart.ts'), ...process.argv.slice(2)])
    : setup;
