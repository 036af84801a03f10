import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { peakBytes, treeCpuMs, waitedCpuMs } from './process-times.ts';

/** One program, and what it did. CPU and memory are known on Linux alone. */
export interface Measured {
  wallMs: number;
  /** Of the program and all that it started. */
  clientCpuMs?: number;
  /** Of the database server meanwhile. */
  serverCpuMs?: number;
  /** The most memory that the program itself has had. */
  peakBytes?: number;
}

export interface Program {
  file: string;
  args: readonly string[];
  env: NodeJS.ProcessEnv;
  /** A word of its command line, by which its memory is told from ours; left out: memory is not looked at. */
  watchedAs?: string;
}

/** Runs one program at a time, and tells what it took. */
export class Meter {
  readonly #serverPid: () => number | undefined;
  #running: ChildProcess | undefined;

  /** @param serverPid of the database server's first process */
  constructor(serverPid: () => number | undefined) {
    this.#serverPid = serverPid;
  }

  /** @throws Error with the end of its standard error where it does not exit 0 */
  async run(program: Program): Promise<{ measured: Measured; stdout: string }> {
    const serverPid = this.#serverPid() ?? 0;
    const server = treeCpuMs(serverPid);
    const client = waitedCpuMs();
    const began = performance.now();
    // A group of its own, so that all of a pipeline can be ended.
    const child = spawn(program.file, program.args, {
      env: program.env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#running = child;
    const peak = watchMemory(child, program.watchedAs);
    const [stdout, stderr, [code, signal]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>,
    ]);
    const wallMs = performance.now() - began;
    this.#running = undefined;
    if (code !== 0) {
      const line = `${program.file} ${program.args.join(' ')}`;
      throw new Error(`${line} ended with ${signal ?? code}: ${stderr.slice(-4000)}${stdout.slice(-1000)}`);
    }
    const measured = {
      wallMs,
      ...difference('clientCpuMs', client, waitedCpuMs()),
      ...difference('serverCpuMs', server, treeCpuMs(serverPid)),
      ...(peak.bytes > 0 ? { peakBytes: peak.bytes } : {}),
    };
    return { measured, stdout };
  }

  /** Ends what runs. */
  async stop(): Promise<void> {
    const child = this.#running;
    if (child?.pid === undefined) return;
    const closed = once(child, 'close');
    process.kill(-child.pid, 'SIGTERM');
    await closed;
  }
}

function watchMemory(child: ChildProcess, word: string | undefined): { bytes: number } {
  const peak = { bytes: 0 };
  if (word === undefined) return peak;
  const timer = setInterval(() => {
    peak.bytes = Math.max(peak.bytes, peakBytes(child.pid ?? 0, word) ?? 0);
  }, 20);
  child.once('exit', () => clearInterval(timer)).once('error', () => clearInterval(timer));
  return peak;
}

function difference<Name extends string>(
  name: Name,
  before: number | undefined,
  after: number | undefined,
): Partial<Record<Name, number>> {
  if (before === undefined || after === undefined) return {};
  return { [name]: after - before } as Record<Name, number>;
}
