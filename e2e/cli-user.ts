import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { programFile } from './programs.ts';

/** The program as it ships. */
export const cliProgram = programFile('cli');

/** How a command of `strideiq` ended. */
export interface CliResult {
  /** Exit code; undefined where a signal ended it. */
  code: number | undefined;
  stdout: string;
  stderr: string;
}

/** A person or script with a home of its own that uses the shipped program alone. */
export class CliUser {
  readonly home = mkdtempSync(join(tmpdir(), 'strideiq-cli-'));
  readonly credentialsFile = join(this.home, 'config/strideiq/credentials.json');
  /** Everything that its commands have printed. */
  said = '';

  start(args: readonly string[], options: { env?: NodeJS.ProcessEnv; input?: string } = {}): ChildProcess {
    const child = spawn(process.execPath, [cliProgram, ...args], {
      env: { ...this.env, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    child.stdin.on('error', () => undefined).end(options.input ?? '');
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (piece: Buffer) => {
        this.said += piece.toString();
      });
    }
    return child;
  }

  /** Of every command: this user's home, and nothing of the developer's own login. */
  get env(): NodeJS.ProcessEnv {
    const own = Object.entries(process.env).filter(([name]) => !name.startsWith('STRIDEIQ_'));
    return { ...Object.fromEntries(own), HOME: this.home, XDG_CONFIG_HOME: join(this.home, 'config') };
  }

  async run(args: readonly string[], options: { env?: NodeJS.ProcessEnv; input?: string } = {}): Promise<CliResult> {
    return resultOf(this.start(args, options));
  }

  /** Runs a command that must exit 0, and returns what `--json` printed. */
  async json<T = Record<string, unknown>>(...args: readonly string[]): Promise<T> {
    const { code, stdout, stderr } = await this.run([...args, '--json']);
    if (code !== 0) throw new Error(`strideiq ${args.join(' ')} ended with ${code}: ${stderr}\n${stdout}`);
    return JSON.parse(stdout) as T;
  }

  remove(): void {
    rmSync(this.home, { recursive: true, force: true });
  }
}

export async function resultOf(child: ChildProcess): Promise<CliResult> {
  const { stdout, stderr } = child;
  if (!stdout || !stderr) throw new Error('strideiq has no output');
  const [out, err, [code]] = await Promise.all([text(stdout), text(stderr), once(child, 'exit')]);
  return { code: (code as number | null) ?? undefined, stdout: out, stderr: err };
}
