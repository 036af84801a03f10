import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import pg from 'pg';

/** Runs a file of SQL on a connection; an error names the line of the file where it happened. */
export async function runScript(client: pg.Client, path: string): Promise<void> {
  const sql = await readFile(path, 'utf8');
  try {
    await client.query(sql);
  } catch (cause) {
    if (!(cause instanceof pg.DatabaseError)) throw cause;
    const line = cause.position === undefined ? '' : `:${sql.slice(0, Number(cause.position)).split('\n').length}`;
    throw new Error(`${basename(path)}${line}: ${cause.message} ${cause.detail ?? ''} ${cause.where ?? ''}`, { cause });
  }
}
