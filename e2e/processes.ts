import { readFileSync } from 'node:fs';
import type { ChildProcess } from 'node:child_process';
import { waitFor } from '@strideiq/testkit';

/** Direct children of a process, with their names; none where it is gone. */
export function childrenOf(pid: number): { pid: number; name: string }[] {
  const text = (file: string) => {
    try {
      return readFileSync(file, 'latin1').trim();
    } catch {
      return '';
    }
  };
  const pids = text(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number);
  return pids.map((child) => ({ pid: child, name: text(`/proc/${child}/comm`) }));
}

/** The pg_dump that an agent has started; undefined where there is none just now. */
export function dumpOf(agent: ChildProcess): number | undefined {
  return childrenOf(agent.pid ?? 0).find(({ name }) => name === 'pg_dump')?.pid;
}

/** Bytes that a process has written so far, sockets and pipes included. */
export function writtenBytes(pid: number): number {
  return Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'latin1'))?.[1] ?? 0);
}

/** Waits until the agent's pg_dump is in the middle of the rows: it has written so many bytes of SQL. */
export async function dumpUnderWay(agent: ChildProcess, bytes: number): Promise<number> {
  return await waitFor(
    `a pg_dump that has written ${bytes} bytes`,
    () => {
      if (agent.exitCode !== null) throw new Error(`the agent ended with ${agent.exitCode} before`);
      const pid = dumpOf(agent);
      if (pid === undefined) return undefined;
      try {
        return writtenBytes(pid) >= bytes ? pid : undefined;
      } catch {
        // It ended between the two looks.
        return undefined;
      }
    },
    { everyMs: 2, timeoutMs: 60_000 },
  );
}

/** Signals a process; one that is gone already is fine. */
export function signal(pid: number | undefined, name: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(pid, name);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}
