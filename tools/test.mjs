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
const checks = [
  { title: 'Set-up', program: process.execPath, args: [join(repository, 'tools', 'setup.mjs'), '--for', 'test'] },
  { title: 'Lint', program: join(binaries, 'oxlint'), args: ['--type-aware', '--deny-warnings'] },
  { title: 'Format', program: join(binaries, 'oxfmt'), args: ['--check', '.'] },
  { title: 'Types', program: join(binaries, 'tsc'), args: ['-b'] },
];

process.exitCode = await runAll();

async function runAll() {
  for (const { title, program, args } of checks) {
    const code = await step(title, () => runHere(program, args));
    if (code === 0) continue;
    process.stdout.write('\n0 passed, 1 failed\n');
    return code;
  }
  const code = await step('Tests', runTests);
  process.stdout.write(`\n${summary(code)}\n`);
  return code;
}

/** Puts a heading above what `run` prints, and its outcome and time below. */
async function step(title, run) {
  const begun = Date.now();
  process.stdout.write(`\n── ${title} ${'─'.repeat(60 - title.length)}\n`);
  const code = await run();
  const outcome = code === 0 ? 'passed' : `FAILED with exit code ${code}`;
  process.stdout.write(`── ${title}: ${outcome} after ${((Date.now() - begun) / 1000).toFixed(1)} s\n`);
  return code;
}

function runTests() {
  process.stdout.write(`Seed ${seed}. To repeat: STRIDEIQ_TEST_SEED=${seed} npm test\n`);
  mkdirSync(join(report, '..'), { recursive: true });
  rmSync(report, { force: true });
  const vitest = join(repository, 'node_modules', 'vitest', 'vitest.mjs');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  // Set-up may have brought the Node.js of node_modules only now.
  return runHere(nodeProgram(), [vitest, 'run', ...reporters], { env: withBinaries(env) });
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
