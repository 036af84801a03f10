import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/**
 * One import that stands in a file of that room, and the words of the rule that must refuse it; undefined: it may.
 * The statement where it is not a plain import.
 */
type Probe = [file: string, imported: string, refusal: RegExp | undefined, statement?: (imported: string) => string];

const plain = (imported: string): string => `import * as found from '${imported}';\nexport default found;\n`;
const typeOnly = (imported: string): string =>
  `import type { AppRouter } from '${imported}';\nexport type Found = AppRouter;\n`;
const typeAgain = (imported: string): string => `export type { AppRouter } from '${imported}';\n`;
/** Looks like a type, and is an import at run time all the same. */
const typeInside = (imported: string): string =>
  `import { type AppRouter } from '${imported}';\nexport type Found = AppRouter;\n`;

const upward = /Imports go down only/;
const deep = /by its name, not by its files/;
const otherApp = /No app imports another/;
const testOnly = /testkit is for tests/;
const ground = /core is the ground floor/;
const pure = /no I\/O and no clock/;
const asType = /as a type alone/;
const notAtRunTime = /leave behind a side effect import/;
const apart = /testkit knows nothing of the product/;

const probes: Probe[] = [
  ['packages/core/src/p.ts', '@strideiq/storage', ground],
  ['packages/core/src/p.ts', '@strideiq/testkit', ground],
  ['packages/core/src/p.ts', '@strideiq/terminal', ground],
  ['packages/core/src/p.ts', '../../storage/src/errors.ts', ground],
  ['packages/core/src/p.ts', '../../sqlite/src/index.ts', ground],
  ['packages/core/src/p.test.ts', '@strideiq/testkit', ground],
  ['packages/core/src/p.ts', 'node:fs', pure],
  ['packages/core/src/p.ts', 'node:fs/promises', pure],
  ['packages/core/src/p.ts', 'fs', pure],
  ['packages/core/src/p.ts', 'node:timers/promises', pure],
  ['packages/core/src/p.ts', 'node:net', pure],
  ['packages/core/src/p.ts', 'pg', pure],
  ['packages/core/src/p.ts', '@aws-sdk/client-s3', pure],
  ['packages/core/src/p.ts', 'zod', undefined],
  ['packages/core/src/p.ts', 'node:crypto', undefined],
  ['packages/core/src/p.ts', './ids.ts', undefined],

  ['packages/storage/src/p.ts', '@strideiq/dump', upward],
  ['packages/storage/src/p.ts', '@strideiq/sqlite', upward],
  ['packages/storage/src/p.ts', 'pg', /knows nothing of PostgreSQL/],
  ['packages/storage/src/p.ts', '@strideiq/testkit', testOnly],
  ['packages/storage/src/p.ts', '@strideiq/agent', otherApp],
  ['packages/storage/src/s3/p.ts', '@strideiq/core/src/ids.ts', deep],
  ['packages/storage/src/s3/p.ts', '../../../core/src/ids.ts', deep],
  ['packages/storage/src/p.ts', '@strideiq/core', undefined],
  ['packages/storage/src/p.ts', 'node:fs', undefined],
  ['packages/storage/src/s3/p.test.ts', '@strideiq/testkit', undefined],
  ['packages/storage/src/testing/p.ts', 'vitest', undefined],

  ['packages/dump/src/p.ts', '@strideiq/storage', upward],
  ['packages/dump/src/p.ts', '@strideiq/terminal', upward],
  ['packages/dump/src/p.ts', 'pg', /streams/],
  ['packages/dump/src/p.ts', 'pg-copy-streams', /streams/],
  ['packages/dump/src/p.ts', 'node:fs', /streams/],
  ['packages/dump/src/p.ts', '@strideiq/testkit', testOnly],
  ['packages/dump/src/p.ts', '@strideiq/core', undefined],
  ['packages/dump/src/p.ts', 'node:zlib', undefined],
  ['packages/dump/src/p.test.ts', '@strideiq/testkit', undefined],

  ['packages/protocol/src/p.ts', '@strideiq/dump', upward],
  ['packages/protocol/src/p.ts', '@strideiq/sqlite', upward],
  ['packages/protocol/src/p.ts', '@strideiq/terminal', upward],
  ['packages/protocol/src/p.ts', '@strideiq/testkit', testOnly],
  ['packages/protocol/src/p.ts', '@strideiq/control-plane', otherApp],
  ['packages/protocol/src/p.ts', '@strideiq/core', undefined],
  ['packages/protocol/src/p.test.ts', '@strideiq/testkit', undefined],
  ['packages/protocol/src/p.test.ts', '@strideiq/agent', otherApp],

  ['packages/sqlite/src/p.ts', '@strideiq/protocol', upward],
  ['packages/sqlite/src/p.ts', '@strideiq/terminal', upward],
  ['packages/sqlite/src/p.ts', '@strideiq/testkit', testOnly],
  ['packages/sqlite/src/p.ts', '@strideiq/control-plane', otherApp],
  ['packages/sqlite/src/p.ts', '../../core/src/ids.ts', deep],
  ['packages/sqlite/src/p.ts', '@strideiq/core', undefined],
  ['packages/sqlite/src/p.ts', 'better-sqlite3', undefined],
  ['packages/sqlite/src/p.test.ts', '@strideiq/testkit', undefined],

  ['packages/terminal/src/p.ts', '@strideiq/sqlite', upward],
  ['packages/terminal/src/p.ts', '@strideiq/storage', upward],
  ['packages/terminal/src/p.ts', '@strideiq/testkit', testOnly],
  ['packages/terminal/src/p.ts', '@strideiq/cli', otherApp],
  ['packages/terminal/src/p.ts', '@strideiq/core', undefined],
  ['packages/terminal/src/p.test.ts', '@strideiq/testkit', undefined],

  ['packages/configuration/src/p.ts', '@strideiq/storage', upward],
  ['packages/configuration/src/p.ts', '@strideiq/core', undefined],
  ['packages/storage/src/p.ts', '@strideiq/configuration', upward],
  ['packages/heartbeat/src/p.ts', '@strideiq/terminal', upward],
  ['packages/heartbeat/src/p.ts', '@strideiq/testkit', testOnly],
  ['packages/heartbeat/src/p.ts', '@strideiq/configuration', undefined],
  ['packages/configuration/src/p.ts', '@strideiq/heartbeat', upward],
  ['packages/core/src/p.ts', '../../configuration/src/index.ts', ground],

  ['packages/testkit/src/p.ts', '@strideiq/core', apart],
  ['packages/testkit/src/postgres/p.ts', '../../../dump/src/index.ts', apart],
  ['packages/testkit/src/postgres/p.ts', '../../../terminal/src/index.ts', apart],
  ['packages/testkit/src/p.ts', '@strideiq/agent', apart],
  ['packages/testkit/src/p.ts', 'pg', undefined],

  ['apps/agent/src/p.ts', '@strideiq/testkit', testOnly],
  ['apps/agent/src/backup/p.ts', '@strideiq/control-plane', otherApp],
  ['apps/agent/src/backup/p.ts', '../../../control-plane/src/main.ts', otherApp],
  ['apps/agent/src/backup/p.ts', '../../../../packages/dump/src/index.ts', deep],
  ['apps/agent/src/p.ts', '@strideiq/dump/src/reader.ts', deep],
  ['apps/control-plane/src/p.ts', '@strideiq/agent', otherApp],
  ['apps/web/src/p.tsx', '@strideiq/cli', otherApp],
  ['apps/cli/src/p.ts', '../../agent/src/main.ts', otherApp],
  ['apps/control-plane/src/p.test.ts', '@strideiq/agent', otherApp],
  ['apps/agent/src/p.test.ts', '../../control-plane/src/compose.ts', otherApp],
  ['apps/agent/src/p.ts', '../../../packages/terminal/src/index.ts', deep],
  ['apps/control-plane/src/p.ts', '@strideiq/protocol', undefined],
  ['apps/control-plane/src/p.ts', '@strideiq/sqlite', undefined],
  ['apps/cli/src/p.ts', '@strideiq/terminal', undefined],

  // Of the control plane's router, web and cli take the type, and nothing else of it.
  ['apps/cli/src/p.ts', '@strideiq/control-plane/router', undefined, typeOnly],
  ['apps/cli/src/p.ts', '@strideiq/control-plane/router', undefined, typeAgain],
  ['apps/web/src/p.tsx', '@strideiq/control-plane/router', undefined, typeOnly],
  ['apps/cli/src/p.test.ts', '@strideiq/control-plane/router', undefined, typeOnly],
  ['apps/cli/src/p.ts', '@strideiq/control-plane/router', asType],
  ['apps/web/src/p.tsx', '@strideiq/control-plane/router', asType],
  ['apps/cli/src/p.test.ts', '@strideiq/control-plane/router', asType],
  ['apps/cli/src/p.ts', '@strideiq/control-plane/router', notAtRunTime, typeInside],
  ['apps/web/src/p.tsx', '@strideiq/control-plane/router', notAtRunTime, typeInside],
  ['apps/cli/src/p.ts', '@strideiq/control-plane', otherApp, typeOnly],
  ['apps/cli/src/p.ts', '@strideiq/control-plane/package.json', otherApp],
  ['apps/cli/src/p.ts', '../../control-plane/src/api/router.ts', otherApp, typeOnly],
  ['apps/web/src/p.tsx', '../../control-plane/src/api/router.ts', otherApp, typeOnly],
  ['apps/agent/src/p.ts', '@strideiq/control-plane/router', otherApp, typeOnly],
  ['packages/terminal/src/p.ts', '@strideiq/control-plane/router', otherApp, typeOnly],
  ['apps/agent/src/p.ts', '@strideiq/storage', undefined],
  ['apps/agent/src/p.ts', './configuration/index.ts', undefined],
  ['apps/agent/src/backup/p.ts', '../../src/journal/journal.ts', undefined],
  ['apps/agent/src/p.test.ts', '@strideiq/testkit', undefined],

  ['e2e/p.ts', '@strideiq/agent', otherApp],
  ['e2e/p.ts', '../packages/core/src/ids.ts', deep],
  ['e2e/p.ts', '@strideiq/testkit', undefined],
];

interface Diagnostic {
  message: string;
  code: string;
  help?: string;
  filename: string;
}

const root = join(import.meta.dirname, '..');
const fileOf = ([file]: Probe, at: number): string =>
  join(dirname(file), file.endsWith('.test.ts') ? `${at}.test.ts` : file.replace(/^.*\/p\./, `${at}.`));

/** A tree like this one that holds the probes alone, under this repository's own rules. */
let directory = '';
let diagnostics: Diagnostic[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'strideiq-layers-'));
  await copyFile(join(root, '.oxlintrc.json'), join(directory, '.oxlintrc.json'));
  for (const [at, probe] of probes.entries()) {
    const file = join(directory, fileOf(probe, at));
    await mkdir(dirname(file), { recursive: true });
    const [, imported, , statement = plain] = probe;
    await writeFile(file, statement(imported));
  }
  const lint = join(root, 'node_modules', '.bin', 'oxlint');
  const output = await new Promise<string>((resolve, reject) => {
    execFile(lint, ['--format', 'json'], { cwd: directory }, (error, stdout, stderr) => {
      // 1 is what the linter ends with when it found something, as it must here.
      if (error && error.code !== 1) reject(new Error(`oxlint failed: ${stderr}`, { cause: error }));
      else resolve(stdout);
    });
  });
  ({ diagnostics } = JSON.parse(output) as { diagnostics: Diagnostic[] });
});

afterAll(() => rm(directory, { recursive: true, force: true }));

describe('imports go down only', () => {
  const named = probes.map((probe, at) => ({
    file: probe[0],
    refusal: probe[2],
    imported: probe[1],
    how: (probe[3] ?? plain).name,
    path: fileOf(probe, at),
  }));
  const saidOf = (path: string): string =>
    diagnostics
      .filter(
        ({ filename, code }) => filename === path && /no-restricted-imports|no-import-type-side-effects/.test(code),
      )
      .map(({ message, help }) => `${message} ${help ?? ''}`)
      .join('\n');

  it.each(named.filter(({ refusal }) => refusal))('$file may not import $imported ($how)', ({ path, refusal }) => {
    expect(saidOf(path)).toMatch(refusal as RegExp);
  });

  it.each(named.filter(({ refusal }) => !refusal))('$file may import $imported ($how)', ({ path }) => {
    expect(saidOf(path)).toBe('');
  });
});
