#!/usr/bin/env node
/**
 * `npm test`: installs what is missing, then lint, format, types and every test, and stops at the first that fails.
 * `--long` runs the long forms: all random kills, fuzzing, very large tables. The last line is `N passed, N failed`.
 *
 * What is drawn at random is drawn from one printed seed; STRIDEIQ_TEST_SEED repeats it.
 */
import { randomInt } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { binaries, nodeProgram, repository, runHere, withBinaries } from './programs.mjs';

const report = join(repository, '.cache', 'test-report.json');

const args = process.argv.slice(2);
if (args.some((arg) => arg !== '--long')) {
  process.stderr.write(
    'Usage: npm test, or npm run test:long. For one project: npx vitest run --project @strideiq/core\n',
  );
  process.exit(2);
}
const seed = process.env.STRIDEIQ_TEST_SEED || String(randomInt(2 ** 31));
const env = {
  ...process.env,
  STRIDEIQ_TEST_SEED: seed,
  ...(args.includes('--long') ? { STRIDEIQ_TEST_LONG: '1' } : {}),
};

/** Each tool is a program of node_modules, which runs on the Node.js that stands beside it. */
const steps = [
  ['Set-up', process.execPath, [join(repository, 'tools', 'setup.mjs'), '--for', 'test']],
  ['Lint', join(binaries, 'oxlint'), ['--type-aware', '--deny-warnings']],
  ['Format', join(binaries, 'oxfmt'), ['--check', '.']],
  ['Types', join(binaries, 'tsc'), ['-b']],
  ['Tests', undefined, ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`]],
];

for (const [title, program, stepArgs] of steps) {
  const begun = Date.now();
  process.stdout.write(`\n── ${title} ${'─'.repeat(60 - title.length)}\n`);
  if (title === 'Tests') process.stdout.write(`Seed ${seed}. To repeat: STRIDEIQ_TEST_SEED=${seed} npm test\n`);
  const isTests = program === undefined;
  if (isTests) {
    mkdirSync(join(report, '..'), { recursive: true });
    rmSync(report, { force: true });
  }
  const code = isTests
    ? await runHere(nodeProgram(), [join(repository, 'node_modules', 'vitest', 'vitest.mjs'), ...stepArgs], {
        env: withBinaries(env),
      })
    : await runHere(program, stepArgs, { env: withBinaries(env) });
  const seconds = ((Date.now() - begun) / 1000).toFixed(1);
  process.stdout.write(`── ${title}: ${code === 0 ? 'passed' : `FAILED with exit code ${code}`} after ${seconds} s\n`);
  if (isTests) process.stdout.write(`\n${summary(code)}\n`);
  else if (code !== 0) process.stdout.write('\n0 passed, 1 failed\n');
  if (code !== 0) {
    process.exitCode = code;
    break;
  }
}

/** `N passed, N failed`, and how many were skipped where any were. A run that failed never says `0 failed`. */
function summary(code) {
  if (!existsSync(report)) return '0 passed, 1 failed';
  const {
    numPassedTests: passed,
    numFailedTests,
    numPendingTests,
    numTodoTests,
    testResults,
  } = JSON.parse(readFileSync(report, 'utf8'));
  // A file that cannot even be loaded has failed, though none of its tests did.
  const broken = testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
  ).length;
  const failed = Math.max(numFailedTests + broken, code === 0 ? 0 : 1);
  const skipped = numPendingTests + numTodoTests;
  return `${passed} passed, ${failed} failed${skipped === 0 ? '' : `, ${skipped} skipped`}`;
}
