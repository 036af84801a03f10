import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import { TestkitError } from '../errors.ts';

export interface RunOptions {
  /** Written to standard input; nothing where left out. */
  input?: string | Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  uid?: number;
  gid?: number;
  timeoutMs?: number;
}

export interface Ran {
  stdout: string;
  stderr: string;
}

/**
 * Runs a program to its end, without a shell.
 * @throws TestkitError `CommandFailed` with the end of its standard error where it cannot start or does not exit 0
 */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const { input, timeoutMs, ...rest } = options;
  const child = spawn(command, args, {
    ...rest,
    ...(timeoutMs === undefined ? {} : { timeout: timeoutMs, killSignal: 'SIGKILL' as const }),
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const ended = new Promise<string>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(signal ?? String(code)));
  });
  const source = typeof input === 'string' ? [input] : (input ?? []);
  // A program that ends before it has read everything is judged by its exit code, not by the broken pipe.
  const fed = pipeline(Readable.from(source), child.stdin).catch(() => {});
  try {
    const [stdout, stderr, how] = await Promise.all([text(child.stdout), text(child.stderr), ended, fed]);
    if (how !== '0') {
      throw new TestkitError('CommandFailed', `${command} ${args.join(' ')} ended with ${how}: ${stderr.slice(-4000)}`);
    }
    return { stdout, stderr };
  } catch (cause) {
    if (cause instanceof TestkitError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TestkitError('CommandFailed', `${command} could not be run: ${why}`, { cause });
  }
}
