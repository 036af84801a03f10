import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { agentProgram, type AgentHost, type AgentResult } from './agent-host.ts';

/** Runs a command of the agent by another program: `setpriv`, `unshare`, `script` … */
export async function runUnder(
  prefix: readonly string[],
  host: AgentHost,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<AgentResult> {
  const command = [...prefix, process.execPath, agentProgram, ...args, '--config', host.configurationFile];
  const child = spawn(command[0] ?? process.execPath, command.slice(1), {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr, [code, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit') as Promise<[number | null, string | null]>,
  ]);
  return { code: code ?? undefined, signal: signal ?? undefined, stdout, stderr };
}
