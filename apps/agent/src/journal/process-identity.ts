import { readFileSync, readlinkSync } from 'node:fs';
import type { RunOwner } from './schema.ts';

/** This process, so that a later one can tell whether it still lives. */
export function thisProcess(): RunOwner {
  return identityOf(process.pid);
}

/** A process of this host, so that a later one can tell whether it still lives. */
export function identityOf(pid: number): RunOwner {
  const space = pidNamespace();
  return {
    pid,
    startTicks: startTicksOf(pid) ?? 0,
    bootId: bootId(),
    ...(space === undefined ? {} : { pidNamespace: space }),
  };
}

/** Whether it is this process that owns a run. */
export function isThisProcess(owner: RunOwner): boolean {
  const { pid, startTicks, bootId, pidNamespace } = thisProcess();
  return (
    owner.pid === pid &&
    owner.startTicks === startTicks &&
    owner.bootId === bootId &&
    owner.pidNamespace === pidNamespace
  );
}

/** Longer than a run takes: by then one of another container counts as dead. */
const longestRunMs = 24 * 60 * 60 * 1000;

/**
 * Whether the process that owned a run is still there; a pid that was given to another process is not. Processes of
 * another container cannot be seen from here: what one began counts as alive for a day.
 * @param ageMs milliseconds since the run began
 */
export function isAlive(owner: RunOwner, ageMs: number): boolean {
  if (owner.bootId !== bootId()) return false;
  if (owner.pidNamespace !== undefined && owner.pidNamespace !== pidNamespace()) return ageMs < longestRunMs;
  if (owner.startTicks !== 0) return startTicksOf(owner.pid) === owner.startTicks;
  try {
    process.kill(owner.pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** Whether a process lives where it can be signalled from here: in this container, as the very one that it was. */
export function livesHere(owner: RunOwner): boolean {
  return owner.pidNamespace === pidNamespace() && owner.startTicks !== 0 && isAlive(owner, 0);
}

/**
 * Has the process that owns a run end it in good order, as Ctrl-C does.
 * @param ageMs milliseconds since the run began
 * @returns `elsewhere` where it lives in another container, `gone` where it does not live any more
 */
export function signalOwner(owner: RunOwner, ageMs: number): 'signalled' | 'gone' | 'elsewhere' {
  if (!isAlive(owner, ageMs)) return 'gone';
  if (owner.pidNamespace !== undefined && owner.pidNamespace !== pidNamespace()) return 'elsewhere';
  if (isThisProcess(owner)) return 'gone';
  try {
    process.kill(owner.pid, 'SIGTERM');
    return 'signalled';
  } catch (error) {
    // It has ended by itself just now.
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return 'gone';
    throw error;
  }
}

/** Field 22 of /proc/PID/stat (proc(5)); fields are counted behind the name, which may hold anything. A zombie is dead. */
function startTicksOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : Number(fields[19]);
  } catch {
    return undefined;
  }
}

/** Such as `pid:[4026531836]` (pid_namespaces(7)); none where there is no /proc. */
function pidNamespace(): string | undefined {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return undefined;
  }
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  } catch {
    return 'unknown';
  }
}
