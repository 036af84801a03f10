import { execa } from 'execa';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';

/** How a child ended. */
export interface ChildOutcome {
  exitCode: number | undefined;
  signal: string | undefined;
  /** The end of what it said on standard error, trimmed. */
  stderr: string;
  /** Why it could not even be started, `ENOENT` … */
  startError: string | undefined;
}

/** A running program whose output is read as it comes. `stop` is the one way to end it early. */
export interface ChildProcess {
  pid: number | undefined;
  stdin: Writable;
  stdout: Readable;
  /** Never rejects. */
  ended: Promise<ChildOutcome>;
  /** SIGTERM, and SIGKILL where that was not enough; resolves when it is gone. */
  stop(): Promise<ChildOutcome>;
}

const stderrTailBytes = 8192;

/** How long what it has left behind may still hold its standard error once it has ended itself. */
const stderrGraceMs = 1000;

/**
 * Starts a program without a shell. Standard output is not buffered: the reader's pace is the program's.
 * The child dies with us where we end by ourselves; where we are killed it ends by the broken pipe.
 */
export function startChild(command: readonly string[], environment: NodeJS.ProcessEnv = {}): ChildProcess {
  const [file = '', ...args] = command;
  const child = execa(file, args, {
    env: environment,
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'pipe',
    encoding: 'buffer',
    buffer: false,
    reject: false,
    cleanup: true,
    forceKillAfterDelay: 5000,
  });
  let tail = Buffer.alloc(0);
  child.stderr.on('data', (bytes: Buffer) => {
    tail = Buffer.concat([tail, bytes]);
    if (tail.length > stderrTailBytes) tail = tail.subarray(tail.length - stderrTailBytes);
  });
  // A child that ends before it has read its input is judged by its exit, not by our broken pipe.
  child.stdin.on('error', () => undefined);
  const ended = Promise.race([outcomeOf(), withoutLastWords()]);
  return {
    pid: child.pid,
    stdin: child.stdin,
    stdout: child.stdout,
    ended,
    async stop() {
      child.kill('SIGTERM');
      // SIGTERM waits behind SIGSTOP for ever; execa's SIGKILL after its delay does not.
      for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
      return ended;
    },
  };

  async function outcomeOf(): Promise<ChildOutcome> {
    const { exitCode, signal, code } = await child;
    const startError = exitCode === undefined && signal === undefined ? code : undefined;
    return { exitCode, signal, stderr: tail.toString().trim(), startError };
  }

  /** What a wrapper leaves running holds our pipes: its words come too late, and nobody waits for them. */
  async function withoutLastWords(): Promise<ChildOutcome> {
    const stdoutClosed = new Promise((resolve) => void child.stdout.once('close', resolve));
    const [exitCode, signal] = await new Promise<[number | null, string | null]>((resolve) => {
      child.nodeChildProcess.once('exit', (...how) => resolve(how));
    });
    await stdoutClosed;
    await delay(stderrGraceMs, undefined, { ref: false });
    child.stderr.destroy();
    return {
      exitCode: exitCode ?? undefined,
      signal: signal ?? undefined,
      stderr: tail.toString().trim(),
      startError: undefined,
    };
  }
}
