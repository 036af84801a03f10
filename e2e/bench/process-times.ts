import { readdirSync, readFileSync } from 'node:fs';

/** What Linux tells of a process in /proc/PID/stat (proc(5)). Times are in ticks. */
export interface ProcessStat {
  parent: number;
  /** Of itself, user and system. */
  own: number;
  /** Of its children that it has waited for, theirs included. */
  waited: number;
}

/** Of USER_HZ, which is 100 on every kind of machine that Node.js runs on. */
const tickMs = 10;

/** The name of a program may hold anything, parentheses too: what is counted comes after the last one. */
export function parseStat(text: string): ProcessStat {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  // From the third field on: state, ppid; utime, stime, cutime and cstime are the 14th to the 17th.
  const [parent = 0, user = 0, system = 0, childUser = 0, childSystem = 0] = [1, 11, 12, 13, 14].map((at) =>
    Number(fields[at] ?? 0),
  );
  return { parent, own: user + system, waited: childUser + childSystem };
}

/** CPU time of a process, of all that descend from it and live, and of those that have ended and were waited for. */
export function sumOfTree(root: number, stats: ReadonlyMap<number, ProcessStat>): number {
  let sum = 0;
  for (const [pid, { own, waited }] of stats) if (descends(pid, root, stats)) sum += own + waited;
  return sum * tickMs;
}

function descends(pid: number, root: number, stats: ReadonlyMap<number, ProcessStat>): boolean {
  for (let at = pid; at > 0; at = stats.get(at)?.parent ?? 0) if (at === root) return true;
  return false;
}

/** Ms of CPU that a server's processes have used since it was started; undefined where there is no /proc. */
export function treeCpuMs(root: number): number | undefined {
  const stats = new Map<number, ProcessStat>();
  for (const name of entriesOf('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const text = textOf(`/proc/${name}/stat`);
    if (text !== undefined) stats.set(Number(name), parseStat(text));
  }
  return stats.has(root) ? sumOfTree(root, stats) : undefined;
}

/** Ms of CPU of all programs that this process has started and waited for, and of those that they have. */
export function waitedCpuMs(): number | undefined {
  const text = textOf('/proc/self/stat');
  return text === undefined ? undefined : parseStat(text).waited * tickMs;
}

/** The most memory that a program has had so far; undefined where it is gone, or has not begun to be itself. */
export function peakBytes(pid: number, program: string): number | undefined {
  // Between fork and exec it has our own memory.
  if (!textOf(`/proc/${pid}/cmdline`)?.includes(program)) return undefined;
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(textOf(`/proc/${pid}/status`) ?? '')?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    // Another system, or a process that has just ended.
    return undefined;
  }
}

function entriesOf(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
