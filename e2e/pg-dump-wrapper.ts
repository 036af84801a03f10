import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PostgresCluster } from '@strideiq/testkit';

/**
 * A directory for `dump.pgDump` whose pg_dump first does something of ours: between the agent's snapshot and pg_dump's
 * own locks. The second pg_dump of a backup, which reads owners and grants, is left alone.
 */
export class PgDumpWrapper {
  readonly directory: string;
  readonly #script: string;
  readonly #count: string;

  constructor({ clientDir, host, port, user }: PostgresCluster, database: string) {
    this.directory = mkdtempSync(join(tmpdir(), 'strideiq wrapped-'));
    this.#script = join(this.directory, 'between.sql');
    this.#count = join(this.directory, 'count');
    const psql = `"${clientDir}/psql" -X -q -v ON_ERROR_STOP=1 -h ${host} -p ${port} -U ${user} -d "${database}"`;
    const lines = [
      '#!/bin/sh',
      'case "$0 $*" in *--version*|*--schema-only*|*/pg_dumpall*) ;;',
      `*) if [ -e "${this.#script}" ]; then`,
      `     echo once >> "${this.#count}"`,
      `     ${psql} -f "${this.#script}" >> "${this.directory}/said" 2>&1`,
      `     [ -e "${this.directory}/always" ] || rm "${this.#script}"`,
      '   fi ;;',
      'esac',
      `exec "${clientDir}/$(basename "$0")" "$@"`,
    ];
    for (const tool of ['pg_dump', 'pg_dumpall']) {
      writeFileSync(join(this.directory, tool), `${lines.join('\n')}\n`);
      chmodSync(join(this.directory, tool), 0o755);
    }
  }

  /** SQL to run before the next pg_dump, or before each. */
  between(sql: string, options: { always?: boolean } = {}): void {
    for (const name of ['count', 'said', 'always']) rmSync(join(this.directory, name), { force: true });
    writeFileSync(this.#script, sql);
    if (options.always) writeFileSync(join(this.directory, 'always'), '');
  }

  /** How often it ran, and what psql said. */
  get ran(): { times: number; said: string } {
    const text = (file: string): string => (existsSync(file) ? readFileSync(file, 'utf8') : '');
    return { times: text(this.#count).split('\n').length - 1, said: text(join(this.directory, 'said')) };
  }

  remove(): void {
    rmSync(this.directory, { recursive: true });
  }
}
