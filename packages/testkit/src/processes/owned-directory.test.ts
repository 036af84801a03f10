import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import { run } from './run.ts';
import { waitFor } from './wait.ts';

const servers = join(import.meta.dirname, '../index.ts');

/** A program that starts one of each server, says where they are, and then waits for its death. */
const program = `
  import { startPostgres, startS3 } from ${JSON.stringify(servers)};
  const [postgres, s3] = await Promise.all([startPostgres(), startS3()]);
  const client = await postgres.connect('postgres');
  client.query('SELECT pg_sleep(600)').catch(() => {});
  await postgres.query('postgres', "SELECT FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'");
  console.log(JSON.stringify({ directories: [postgres.directory, s3.directory], postgres: postgres.port, s3: s3.endpoint }));
  setInterval(() => {}, 1000);
`;

async function processesNaming(directory: string): Promise<string[]> {
  const { stdout } = await run('ps', ['-eo', 'stat=,pid=,args=']);
  return stdout.split('\n').filter((line) => line.includes(directory) && !line.startsWith('Z'));
}

describe('OwnedDirectory', () => {
  it.each(['SIGKILL', 'SIGTERM'] as const)('ends every server and file after %s', async (death) => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
    const { directories } = JSON.parse(line) as { directories: string[] };
    for (const directory of directories) expect(existsSync(directory)).toBe(true);
    const before = await Promise.all(directories.map(processesNaming));
    expect(before.map((found) => found.length >= 2)).toEqual([true, true]);

    child.kill(death);
    await exited;

    for (const directory of directories) {
      await waitFor(`the end of ${directory}`, () => !existsSync(directory));
      await waitFor(`the end of its processes`, async () => (await processesNaming(directory)).length === 0);
    }
  });
});
