import { execa } from 'execa';
import type { Readable, Writable } from 'node:stream';

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
  const ended = outcomeOf();
  return {
    pid: child.pid,
    stdin: child.stdin,
    stdout: child.stdout,
    ended,
    async stop() {
      child.kill('SIGTERM');
      // SIGTERM waits behind SIGSTOP for ever; execa's SIGKILL after its delay does not.
      child.stdout.destroy();
      return ended;
    },
  };

  async function outcomeOf(): Promise<ChildOutcome> {
    const result = await child;
    return {
      exitCode: result.exitCode,
      signal: result.signal,
      stderr: tail.toString().trim(),
      startError: result.exitCode === undefined && result.signal === undefined ? result.code : undefined,
    };
  }
}
