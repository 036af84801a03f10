import { AgentError } from '../errors.ts';
import type { ChildProcess } from '../postgres/child-process.ts';

export interface ToolOutputOptions {
  /** The tool's, and what it reads, for errors. */
  name: 'pg_dump' | 'pg_dumpall';
  what: string;
  /** How long it may write nothing. */
  hangLimitMs: number;
  /** Ends it. */
  signal: AbortSignal;
}

/** A tool's output that ends only when the tool exited 0; it is ended when it hangs, and when the signal aborts. */
export async function* finished(
  child: ChildProcess,
  { name, what, hangLimitMs, signal }: ToolOutputOptions,
): AsyncGenerator<Buffer> {
  let reason: Error | undefined;
  const end = (why: Error) => {
    reason ??= why;
    void child.stop();
  };
  const interrupted = () => end(signal.reason as Error);
  const silence = setTimeout(() => end(hangs(name, what, hangLimitMs)), hangLimitMs);
  if (signal.aborted) interrupted();
  else signal.addEventListener('abort', interrupted, { once: true });
  try {
    for await (const piece of child.stdout as AsyncIterable<Buffer>) {
      silence.refresh();
      yield piece;
    }
    const { exitCode, signal: killedBy, stderr, startError } = await child.ended;
    if (exitCode === 0 && !reason) return;
    throw new AgentError(
      'DumpFailed',
      `${name} could not read ${what} (${killedBy ?? exitCode ?? startError}): ${stderr || 'it gave no reason'}`,
      'The role needs to read pg_roles and the schema; a superuser or a member of pg_read_all_data can.',
    );
  } catch (error) {
    throw reason ?? error;
  } finally {
    clearTimeout(silence);
    signal.removeEventListener('abort', interrupted);
    await child.stop();
  }
}

function hangs(name: string, what: string, limitMs: number): AgentError {
  return new AgentError(
    'DumpHangs',
    `${name} has written nothing for ${Math.round(limitMs / 1000)} s while it read ${what}, and was ended.`,
    'Look for a stopped process or a cut connection between it and the server; the next backup reads them again.',
  );
}

export async function textOf(pieces: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all);
}
