import { gzipSync } from 'node:zlib';
import { readDump } from '@strideiq/dump';
import { AgentError } from '../errors.ts';
import type { ChildProcess } from '../postgres/child-process.ts';
import { startTool, type Tool } from '../postgres/client-tools.ts';
import type { Connection } from '../postgres/connect.ts';
import { setsPrivileges } from '../postgres/privilege-statements.ts';
import type { Endpoint } from '../postgres/endpoint.ts';
import { largeObjectRights } from './large-object-rights.ts';

export interface PrivilegesOptions {
  /** The leader's, in whose snapshot large objects are looked at. */
  connection: Connection;
  dumpTool: Tool;
  rolesTool: Tool;
  endpoint: Endpoint;
  snapshotId: string;
  excludeTables: readonly string[];
  applicationName: string;
}

/** Ends the part that must run before the dump; RECOVER.txt cuts here. */
export const endOfRoles = '-- End of roles';

/**
 * Owners, grants and database settings, which the dump itself leaves out, in an order that works on an empty server:
 * the roles first (no passwords), then what belongs to them.
 * @returns the sidecar, gzipped
 * @throws AgentError `DumpFailed`
 */
export async function dumpPrivileges(options: PrivilegesOptions): Promise<Buffer> {
  const { endpoint, applicationName } = options;
  const roles = startTool(options.rolesTool, endpoint, ['--roles-only', '--no-role-passwords'], { applicationName });
  const rolesText = await textOf(roles, 'pg_dumpall');
  const schema = startTool(
    options.dumpTool,
    endpoint,
    [
      '--schema-only',
      '--create',
      '--no-subscriptions',
      `--snapshot=${options.snapshotId}`,
      ...options.excludeTables.map((pattern) => `--exclude-table=${pattern}`),
    ],
    { applicationName },
  );
  const statements: Buffer[] = [];
  for await (const piece of readDump(finished(schema, 'pg_dump'), { connectAllowed: true })) {
    if (piece.kind === 'statement' && belongsHere(piece.sql)) {
      statements.push(piece.sql, Buffer.from('\n'));
    }
  }
  const head = `-- Roles, then owners, grants and settings of the database. Holds no passwords.\n\n`;
  const largeObjects = Buffer.from(await largeObjectRights(options.connection));
  return gzipSync(
    Buffer.concat([Buffer.from(head), rolesText, Buffer.from(`\n${endOfRoles}\n\n`), ...statements, largeObjects]),
  );
}

/** The settings that the statements' own text depends on. */
const setting = /^\s*SET (client_encoding|standard_conforming_strings)\b/;

function belongsHere(statement: Buffer): boolean {
  return setsPrivileges(statement) || setting.test(statement.toString('latin1', 0, 100));
}

/** A tool's output that ends only when the tool exited 0. */
async function* finished(child: ChildProcess, name: string): AsyncGenerator<Buffer> {
  try {
    yield* child.stdout;
    const { exitCode, signal, stderr, startError } = await child.ended;
    if (exitCode === 0) return;
    throw new AgentError(
      'DumpFailed',
      `${name} could not read owners and grants (${signal ?? exitCode ?? startError}): ${stderr || 'it gave no reason'}`,
      'The role needs to read pg_roles and the schema; a superuser or a member of pg_read_all_data can.',
    );
  } finally {
    await child.stop();
  }
}

async function textOf(child: ChildProcess, name: string): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of finished(child, name)) pieces.push(piece);
  return Buffer.concat(pieces);
}
