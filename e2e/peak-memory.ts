import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { agentProgram, type AgentHost } from './agent-host.ts';

/** The agent's memory stays under 200 MB, whatever the size of the database or of one value in it. */
export const mostBytes = 200_000_000;

/** Runs a command that must exit 0, and returns the most memory its process had (VmHWM, proc(5)). */
export async function peakBytes(host: AgentHost, ...args: string[]): Promise<number> {
  const { process, result } = host.start(...args);
  let peak = 0;
  const timer = setInterval(() => {
    try {
      // Between fork and exec it has our own memory.
      if (!readFileSync(`/proc/${process.pid}/cmdline`, 'latin1').includes(agentProgram)) return;
      const status = readFileSync(`/proc/${process.pid}/status`, 'latin1');
      peak = Math.max(peak, Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024);
    } catch {
      // It has just ended.
    }
  }, 20);
  const { code, stderr } = await result.finally(() => clearInterval(timer));
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
  // A program that only starts has some 50 MB: less would mean that nothing was measured.
  expect(peak).toBeGreaterThan(30_000_000);
  return peak;
}
