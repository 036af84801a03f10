import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { AgentError } from '../errors.ts';

export type HookName = 'beforeSwap' | 'afterSwap' | 'afterRestore';

/** What a hook is told, by variables STRIDEIQ_… beside the agent's own but PG…, and what it may take. */
export interface HookRun {
  runId: string;
  /** Name of the database in the host's file. */
  database: string;
  /** Name on the server of the database that the hook is about. */
  target: string;
  backupId: string | undefined;
  /** Of `afterSwap`: whether the database was replaced, or stands as it did before. */
  outcome?: 'replaced' | 'kept';
  /** More variables, such as those by which psql finds the database. */
  environment?: NodeJS.ProcessEnv;
  limitMs: number;
  /** Is told the process that leads a hook's group, for as long as it runs. */
  running?: (pid: number | undefined) => void;
  /** Gets each line that it prints. */
  say: (line: string) => void;
  /** Ends what is under way. Left out: nothing does, but its limit. */
  signal?: AbortSignal;
}

/** Lines of one hook that are passed on; of whatever follows only the last are kept, for its error. */
const mostLines = 200;
const lastLines = 5;

/** How long a hook that was told to end may take, and how long what it left behind may hold its output. */
const killAfterMs = 5000;
const outputGraceMs = 500;

/**
 * Runs a hook's commands one after another, on this host and without a shell. The first that fails ends it.
 * @throws AgentError `HookFailed` naming the command and the end of what it printed; the signal's own reason
 */
export async function runHook(name: HookName, commands: readonly (readonly string[])[], run: HookRun): Promise<void> {
  const endAt = performance.now() + run.limitMs;
  for (const command of commands) {
    run.signal?.throwIfAborted();
    await runCommand(name, command, run, endAt);
  }
}

async function runCommand(name: HookName, command: readonly string[], run: HookRun, endAt: number): Promise<void> {
  const [file = '', ...args] = command;
  const { runId, database, target, backupId, outcome, environment, limitMs, say, signal } = run;
  const told = {
    STRIDEIQ_HOOK: name,
    STRIDEIQ_RUN_ID: runId,
    STRIDEIQ_DATABASE: database,
    STRIDEIQ_TARGET: target,
    ...(backupId === undefined ? {} : { STRIDEIQ_BACKUP_ID: backupId }),
    ...(outcome === undefined ? {} : { STRIDEIQ_OUTCOME: outcome }),
  };
  // A group of its own: what it has started ends with it.
  const child = spawn(file, args, {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...withoutLibpq(process.env), ...environment, ...told },
  });
  run.running?.(child.pid);
  const ending = new AbortController();
  const limit = setTimeout(() => ending.abort(), Math.max(0, endAt - performance.now()));
  const stopped = AbortSignal.any([ending.signal, ...(signal ? [signal] : [])]);
  const isThere = () => child.exitCode === null && child.signalCode === null;
  const end = () => {
    if (child.pid !== undefined) void endGroup(child.pid, isThere);
  };
  stopped.addEventListener('abort', end, { once: true });
  const last: string[] = [];
  const printed = [child.stdout, child.stderr].map(async (stream) => readLines(stream, last, `${name}: `, say));
  try {
    const failure = await howItFailed(child);
    await Promise.race([Promise.all(printed), delay(outputGraceMs)]);
    signal?.throwIfAborted();
    if (ending.signal.aborted) throw hookError(name, command, `did not end within ${limitMs / 1000} s`, last);
    if (failure !== undefined) throw hookError(name, command, failure, last);
  } finally {
    clearTimeout(limit);
    stopped.removeEventListener('abort', end);
    child.stdout.destroy();
    child.stderr.destroy();
    run.running?.(undefined);
  }
}

/** What the agent itself may be told of a server by is another database than the one that a hook is about. */
function withoutLibpq(given: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(given).filter(([name]) => !/^PG[A-Z]/.test(name)));
}

/** Undefined where it exited 0. */
async function howItFailed(child: ChildProcess): Promise<string | undefined> {
  try {
    const [code, killedBy] = (await once(child, 'exit')) as [number | null, string | null];
    return code === 0 ? undefined : code === null ? `was ended by ${killedBy}` : `ended with ${code}`;
  } catch (error) {
    return `could not be started: ${(error as Error).message}`;
  }
}

/** Ends a hook with all that it has started. Never rejects. @param isThere asked until it is gone */
export async function endGroup(pid: number, isThere: () => boolean): Promise<void> {
  const kill = (signal: NodeJS.Signals) => {
    try {
      process.kill(-pid, signal);
    } catch {
      // It is gone.
    }
  };
  kill('SIGTERM');
  const until = performance.now() + killAfterMs;
  while (isThere() && performance.now() < until) await delay(50);
  kill('SIGKILL');
}

async function readLines(stream: Readable, last: string[], head: string, say: (line: string) => void): Promise<void> {
  let lines = 0;
  try {
    for await (const line of createInterface({ input: stream })) {
      lines += 1;
      last.push(line);
      if (last.length > lastLines) last.shift();
      if (lines <= mostLines) say(`${head}${line}`);
      else if (lines === mostLines + 1) say(`${head}… prints more than ${mostLines} lines; the rest is left out.`);
    }
  } catch {
    // Somebody whom it has left behind held the stream, which was then closed.
  }
}

function hookError(name: HookName, command: readonly string[], how: string, last: readonly string[]): AgentError {
  const said = last.length > 0 ? ` The end of what it printed: ${last.join(' / ')}` : '';
  return new AgentError(
    'HookFailed',
    // Not with its words, which may hold what is no business of a log.
    `The command ${JSON.stringify(command[0])} of hooks.${name} ${how}.${said}`,
    `Run it by hand on this host to see why; the hooks are in agent.yaml.`,
  );
}
