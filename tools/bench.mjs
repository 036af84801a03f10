#!/usr/bin/env node
/**
 * `npm run bench`: installs what is missing, then starts the bench itself on Node 24 with all arguments
 * (`npm run bench -- --quick`). Plain JavaScript that Node 20 runs, before `npm ci`.
 */
import { join } from 'node:path';
import { nodeProgram, repository, runHere } from './programs.mjs';

const setup = await runHere(process.execPath, [join(repository, 'tools', 'setup.mjs'), '--for', 'bench']);
process.exitCode =
  setup === 0
    ? await runHere(nodeProgram(), [join(repository, 'e2e', 'bench', 'bench.ts'), ...process.argv.slice(2)])
    : setup;
