import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { promisify } from 'node:util';
import type { Stage } from './stage.ts';

const run = promisify(execFile);

/** What one has to know of where and when something was measured, as a sentence or two. */
export async function describeSurroundings(stage: Stage): Promise<string> {
  const model = cpus()[0]?.model ?? 'processors of an unknown kind';
  const [server] = await stage.cluster.query<{ version: string }>(
    'postgres',
    "SELECT current_setting('server_version') AS version",
  );
  const versions = await Promise.all(
    ['gzip', 'pigz', 'aws'].map(async (program) => firstLineOf(program).then((line) => line && `, ${line}`)),
  );
  const [load = 0] = loadavg();
  return (
    `${new Date().toISOString().slice(0, 10)}, ${cpus().length} × ${model.trim()}, ` +
    `${(totalmem() / 1e9).toFixed(0)} GB, ${distribution()}, kernel ${release()}; ` +
    `PostgreSQL ${server?.version}, Node.js ${process.version}${versions.join('')}; ` +
    `${load.toFixed(1)} processes wanted a processor when it began.`
  );
}

async function firstLineOf(program: string): Promise<string> {
  try {
    const { stdout, stderr } = await run(program, ['--version']);
    return (stdout || stderr).split('\n')[0]?.split(' Python/')[0] ?? '';
  } catch {
    return '';
  }
}

function distribution(): string {
  try {
    return /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? process.platform;
  } catch {
    return process.platform;
  }
}
