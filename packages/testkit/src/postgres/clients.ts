import { existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { TestkitError } from '../errors.ts';
import { run } from '../processes/run.ts';

const repository = join(import.meta.dirname, '../../../..');
const tools = ['pg_dump', 'pg_dumpall', 'pg_restore', 'psql'];

/**
 * The directory that holds pg_dump, pg_dumpall, pg_restore and psql of `major`, or of the next newer one that is there:
 * a client dumps servers of its own and of older majors.
 * @throws TestkitError `NotInstalled`
 */
export async function findClients(major: number): Promise<string> {
  const found = new Map<number, string>();
  for (const directory of candidates()) {
    if (!tools.every((tool) => existsSync(join(directory, tool)))) continue;
    const { stdout } = await run(join(directory, 'pg_dump'), ['--version']);
    const version = Number(/ (\d+)/.exec(stdout)?.[1]);
    if (version >= major && !found.has(version)) found.set(version, directory);
  }
  const best = found.get(Math.min(...found.keys()));
  if (best !== undefined) return best;
  throw new TestkitError(
    'NotInstalled',
    `No pg_dump and psql of PostgreSQL ${major} or newer were found. Run: node tools/postgres-clients.mjs 17 18`,
  );
}

function candidates(): string[] {
  const below = (parent: string, rest: string): string[] =>
    existsSync(parent) ? readdirSync(parent).map((name) => join(parent, name, rest)) : [];
  return [
    ...below('/usr/lib/postgresql', 'bin'),
    ...below(join(repository, '.cache/postgres-clients'), ''),
    ...(process.env['PATH'] ?? '').split(delimiter).filter((directory) => directory !== ''),
  ];
}
