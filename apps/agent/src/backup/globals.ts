import { gzipSync } from 'node:zlib';
import { startTool, type Tool } from '../postgres/client-tools.ts';
import { answered, type Connection } from '../postgres/connect.ts';
import type { Endpoint } from '../postgres/endpoint.ts';
import { finished, textOf } from './tool-output.ts';

export interface GlobalsOptions {
  connection: Connection;
  /** pg_dumpall. */
  tool: Tool;
  endpoint: Endpoint;
  /** Whether password hashes are asked for: where the role may not read them the rest is read all the same. */
  rolePasswords: boolean;
  applicationName: string;
  /** How long the tool may write nothing, and the server may take for an answer. */
  hangLimitMs: number;
  /** Ends what is under way. */
  signal: AbortSignal;
}

/** What belongs to a whole server, and so to none of its dumps. */
export interface Globals {
  /** SQL, gzipped. */
  file: Buffer;
  /** Whether it holds password hashes. */
  rolePasswords: boolean;
}

/**
 * Reads roles with their settings and memberships, tablespaces, and grants on parameters, as pg_dumpall writes them.
 * @throws AgentError `DumpFailed`, `DumpHangs`, `ConnectionLost`; the signal's own reason
 */
export async function readGlobals(options: GlobalsOptions): Promise<Globals> {
  const { connection, tool, endpoint, applicationName, hangLimitMs } = options;
  const rolePasswords =
    options.rolePasswords && (await answered(connection, mayReadPasswords(connection), hangLimitMs));
  const args = ['--globals-only', ...(rolePasswords ? [] : ['--no-role-passwords'])];
  const running = startTool(tool, endpoint, args, { applicationName });
  const sql = await textOf(finished(running, { ...options, name: 'pg_dumpall', what: 'the globals of the server' }));
  return { file: gzipSync(Buffer.concat([headOf(rolePasswords), sql])), rolePasswords };
}

/** Of pg_authid, which holds them: a superuser may read it, a member of pg_read_all_data, and whom one has let. */
export async function mayReadPasswords(connection: Connection): Promise<boolean> {
  const { rows } = await connection.query<{ may: boolean }>(
    "SELECT pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT') AS may",
  );
  return rows[0]?.may === true;
}

function headOf(rolePasswords: boolean): Buffer {
  return Buffer.from(`-- What belongs to the whole server: roles with their settings and memberships, tablespaces, grants on parameters.
-- ${
    rolePasswords
      ? 'HOLDS THE PASSWORD HASHES OF ALL ROLES: keep it from everyone who is not to log in as any of them.'
      : 'Holds no passwords: set them anew.'
  }
-- For a whole new server, before its databases: gunzip -c NAME.globals.sql.gz | psql -U postgres -d postgres
-- The directory of each tablespace has to be there first, empty and the server's own. "already exists" is harmless.

`);
}
