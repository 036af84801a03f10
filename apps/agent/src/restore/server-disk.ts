import { readFile, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { isLoopback } from '@strideiq/core';
import prettyBytes from 'pretty-bytes';
import { AgentError } from '../errors.ts';
import type { Connection } from '../postgres/connect.ts';
import type { Endpoint } from '../postgres/endpoint.ts';

/**
 * Free bytes where the server keeps its databases; undefined where this host cannot see them, or could be looking at
 * another server's.
 * @param tablespace where the new database goes; left out: the server's own directory
 */
export async function freeBytesOf(
  connection: Connection,
  { host, port, exec, execConnect }: Endpoint,
  tablespace = 'pg_default',
): Promise<number | undefined> {
  const isHere = host.startsWith('/') || isLoopback(host);
  if (!isHere || exec.length > 0 || execConnect.length > 0) return undefined;
  try {
    const { rows } = await connection.query<{ directory: string; location: string }>(
      `SELECT current_setting('data_directory') AS directory,
              coalesce((SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = $1), '') AS location`,
      [tablespace],
    );
    const [found] = rows;
    if (!found) return undefined;
    // A port of a container may be this host's, its paths are not (PostgreSQL docs, postmaster.pid: the fourth line).
    const lines = (await readFile(join(found.directory, 'postmaster.pid'), 'utf8')).split('\n');
    if (Number(lines[3]) !== port) return undefined;
    const { bavail, bsize } = await statfs(found.location === '' ? found.directory : found.location);
    return bavail * bsize;
  } catch {
    // The role may not read the setting, or this user not the directory.
    return undefined;
  }
}

/** What a new database needs, and what there is for it; undefined what cannot be told. */
export interface Space {
  /** As large as its source was, dead rows and all. */
  neededBytes: number | undefined;
  freeBytes: number | undefined;
}

/**
 * Refuses where it cannot be enough: a source may have been larger than its rows need.
 * @param sqlBytes of the dump
 * @throws AgentError `DiskTooSmall`
 */
export function checkSpace({ neededBytes, freeBytes }: Space, sqlBytes: number): void {
  if (neededBytes === undefined || freeBytes === undefined || freeBytes >= Math.min(neededBytes, sqlBytes)) return;
  throw new AgentError(
    'DiskTooSmall',
    `The new database needs about ${prettyBytes(neededBytes)} on the server, where ${prettyBytes(freeBytes)} are free.`,
    'Make room there first: databases that restores in place have kept are listed by `strideiq-agent restore kept`.',
  );
}
