import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { isServerLevel, readDump, setsPrivileges } from '@strideiq/dump';
import { startTool, type Tool } from '../postgres/client-tools.ts';
import { answered, type Connection } from '../postgres/connect.ts';
import type { Endpoint } from '../postgres/endpoint.ts';
import { isLockTimeout } from './dump-process.ts';
import { largeObjectRights } from './large-object-rights.ts';
import { finished, textOf } from './tool-output.ts';

export interface PrivilegesOptions {
  /** The leader's, in whose snapshot large objects are looked at. */
  connection: Connection;
  dumpTool: Tool;
  rolesTool: Tool;
  endpoint: Endpoint;
  snapshotId: string;
  /** The database's own. */
  encoding: string;
  applicationName: string;
  /** How long a tool may write nothing, and the server may take for an answer. */
  hangLimitMs: number;
  /** Ends what is under way. */
  signal: AbortSignal;
}

/** Owners, grants and settings of a database, which its dump leaves out. Holds no passwords. */
export interface PrivilegeParts {
  /** pg_dumpall's. */
  roles: Buffer;
  /** Statements on the database, and on what is in it where they were asked for, in their order. */
  statements: readonly Buffer[];
  /** SQL. */
  largeObjects: Buffer;
}

const what = 'owners and grants';

/** Ends the part that must run before the dump; RECOVER.txt cuts here. */
export const endOfRoles = '-- End of roles';

/** How long each of so many attempts waits for the locks of a live database, in whose way nobody is to stand. */
const lockWaitMs = 2000;
const mostAttempts = 20;

/**
 * Reads what the dump of a database does not bring: roles, settings of the database itself, rights on large objects.
 * @throws AgentError `DumpFailed`, `DumpHangs`; the signal's own reason
 */
export async function readPrivileges(options: PrivilegesOptions): Promise<PrivilegeParts> {
  // No table is of interest to this one, so that it locks none.
  const ofDatabase = (sql: Buffer) => isServerLevel(sql) && setsPrivileges(sql);
  const statements = await statementsOf(options, ['--exclude-schema=*'], ofDatabase);
  return { ...(await besideStatements(options)), statements };
}

/** The same with owners and grants of what is in the database, where no dump is made. */
export async function readAllPrivileges(options: PrivilegesOptions): Promise<PrivilegeParts> {
  for (let attempt = 1; ; attempt++) {
    try {
      const ofAll = (sql: Buffer) => setsPrivileges(sql) && isOfSidecar(sql);
      const statements = await statementsOf(options, [`--lock-wait-timeout=${lockWaitMs}`], ofAll);
      return { ...(await besideStatements(options)), statements };
    } catch (error) {
      if (attempt === mostAttempts || !isLockTimeout(error)) throw error;
      await delay(1000, undefined, { signal: options.signal });
    }
  }
}

/**
 * The file that stands beside a dump, in an order that works on an empty server: the roles first, then what belongs to them.
 * @param objects further statements, of a dump in the same encoding
 * @returns SQL, gzipped
 */
export function sidecarOf(
  { roles, statements, largeObjects }: PrivilegeParts,
  objects: readonly Buffer[] = [],
): Buffer {
  const head = Buffer.from('-- Roles, then owners, grants and settings of the database. Holds no passwords.\n\n');
  const lineEnd = Buffer.from('\n');
  const lines = [...statements, ...objects].flatMap((sql) => [sql, lineEnd]);
  return gzipSync(Buffer.concat([head, roles, Buffer.from(`\n${endOfRoles}\n\n`), ...lines, largeObjects]));
}

/**
 * Whether a statement that a dump has set aside belongs into the sidecar: rights on large objects come in fewer of them, and
 * to act as who had made a grant only a superuser may.
 */
export function isOfSidecar(statement: Buffer): boolean {
  return !/^\s*(?:(?:ALTER|(?:GRANT|REVOKE)\b.*? ON) LARGE OBJECT |(?:RE)?SET SESSION AUTHORIZATION\b)/.test(
    statement.toString('latin1', 0, 200),
  );
}

async function besideStatements(options: PrivilegesOptions): Promise<Omit<PrivilegeParts, 'statements'>> {
  const { connection, endpoint, applicationName, hangLimitMs } = options;
  const roles = startTool(options.rolesTool, endpoint, ['--roles-only', '--no-role-passwords'], { applicationName });
  return {
    roles: await textOf(finished(roles, { ...options, name: 'pg_dumpall', what })),
    largeObjects: Buffer.from(await answered(connection, largeObjectRights(connection), hangLimitMs)),
  };
}

async function statementsOf(
  options: PrivilegesOptions,
  args: readonly string[],
  belongs: (statement: Buffer) => boolean,
): Promise<Buffer[]> {
  const { snapshotId, encoding } = options;
  const all = ['--schema-only', '--create', '--no-subscriptions', `--encoding=${encoding}`, `--snapshot=${snapshotId}`];
  const schema = startTool(options.dumpTool, options.endpoint, [...all, ...args], options);
  const statements: Buffer[] = [];
  for await (const piece of readDump(finished(schema, { ...options, name: 'pg_dump', what }), {
    connectAllowed: true,
  })) {
    if (piece.kind !== 'statement') continue;
    if (setting.test(piece.sql.toString('latin1', 0, 100)) || belongs(piece.sql)) statements.push(piece.sql);
  }
  return statements;
}

/** The settings that the statements' own text depends on. */
const setting = /^\s*SET (client_encoding|standard_conforming_strings)\b/;
