/**
 * How the entry scripts start programs. Plain JavaScript that Node 20 runs, before `npm ci`.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, join } from 'node:path';

/** Top of the repository. */
export const repository = join(import.meta.dirname, '..');

/** Programs that `npm ci` brings, Node 24 among them. */
export const binaries = join(repository, 'node_modules', '.bin');

/** The environment in which programs of `node_modules` are found first, as under npm. */
export function withBinaries(env = process.env) {
  return { ...env, PATH: [binaries, env.PATH ?? ''].join(delimiter) };
}

/** The Node.js that runs the product: the one in `node_modules` where its package fits the machine, else this one. */
export function nodeProgram() {
  const own = join(binaries, 'node');
  return existsSync(own) ? own : process.execPath;
}

/** The major version of {@link nodeProgram}, or 0 where it does not run. */
export function nodeMajor() {
  const { stdout } = spawnSync(nodeProgram(), ['--version'], { encoding: 'utf8' });
  return Number(/^v(\d+)/.exec(stdout ?? '')?.[1] ?? 0);
}

/**
 * Runs a program on this one's terminal, passes on signals, and waits for its end.
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{ env?: NodeJS.ProcessEnv }} [options]
 * @returns {Promise<number>} its exit code; 128 and the signal's number where it was killed, as a shell says
 */
export async function runHere(program, args, { env = withBinaries() } = {}) {
  const child = spawn(program, args, { cwd: repository, env, stdio: 'inherit' });
  // Ctrl-C reaches the child from the terminal itself: passed on once more, it would mean "at once".
  const forward = (signal) => {
    if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, forward);
  try {
    return await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => resolve(code ?? 128 + (constants.signals[signal] ?? 0)));
    });
  } finally {
    for (const signal of signals) process.off(signal, forward);
  }
}
