import { readFileSync } from 'node:fs';
import type { PostgresCluster } from '@strideiq/testkit';
import { run, type Ran } from '@strideiq/testkit';
import type { AgentHost } from './agent-host.ts';

/** The commands of each numbered step of a RECOVER.txt, as they stand there: lines that are indented by four. */
export function commandsOf(recoverText: string): Map<number, string[]> {
  const steps = new Map<number, string[]>();
  let step = 0;
  for (const line of recoverText.split('\n')) {
    step = Number(/^(\d+)\. /.exec(line)?.[1] ?? step);
    const [, command] = /^ {4}(\S.*|\s+\S.*)$/.exec(line) ?? [];
    if (command === undefined) continue;
    const commands = steps.get(step) ?? [];
    const before = commands.at(-1);
    if (before?.endsWith('\\')) commands[commands.length - 1] = `${before}\n${command}`;
    else commands.push(command);
    steps.set(step, commands);
  }
  return steps;
}

/**
 * Does what RECOVER.txt says, by a shell with nothing but stock tools, against `target`; what a person fills in is the
 * backup's name, and the server by PG* variables.
 */
export class Recovery {
  readonly #steps: Map<number, string[]>;
  readonly #name: string;
  readonly #target: PostgresCluster;
  readonly #directory: string;

  /** @param name the backup's, without ending */
  constructor(host: AgentHost, name: string, target: PostgresCluster) {
    this.#steps = commandsOf(readFileSync(host.path('RECOVER.txt'), 'utf8'));
    this.#name = name;
    this.#target = target;
    this.#directory = host.directory;
  }

  /** Runs all commands of a step in order, the first that fails ends it. */
  async step(number: number): Promise<Ran> {
    const commands = this.#steps.get(number) ?? [];
    if (commands.length === 0) throw new Error(`RECOVER.txt has no step ${number}`);
    const script = commands.map((command) => command.replaceAll(/\bNAME\b/g, this.#name)).join('\n');
    const { clientEnv, clientDir } = this.#target;
    const env = { ...clientEnv, PGUSER: undefined, PATH: `${clientDir}:/usr/bin:/bin` };
    return run('bash', ['-e', '-o', 'pipefail', '-c', script], { env, cwd: this.#directory });
  }
}

/** Lines of psql that are not what RECOVER.txt calls harmless. */
export function realErrors(stderr: string): string[] {
  return stderr.split('\n').filter((line) => line.includes('ERROR') && !line.includes('already exists'));
}
