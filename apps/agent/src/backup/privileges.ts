import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { readDump } from '@strideiq/dump';
import { AgentError } from '../errors.ts';
import type { ChildProcess } from '../postgres/child-process.ts';
import { startTool, type Tool } from '../postgres/client-tools.ts';
import { answered, type Connection } from '../postgres/connect.ts';
import { setsPrivileges } from '../postgres/privilege-statements.ts';
import type { Endpoint } from '../postgres/endpoint.ts';
import { isLockTimeout } from './dump-process.ts';
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
  /** How long a tool may write nothing, and the server may take for an answer. */
  hangLimitMs: number;
  /** Times that a lock is waited for, some seconds each; left out: few, since the dump stands beside it. */
  attempts?: number;
  /** Ends what is under way. */
  signal: AbortSignal;
}

/** Ends the part that must run before the dump; RECOVER.txt cuts here. */
export const endOfRoles = '-- End of roles';

/**
 * How long it may wait for a lock: a migration may stand in the queue, which waits for the leader, which would wait for
 * this. PostgreSQL cannot see that deadlock.
 */
const lockWaitMs = 2000;
const mostAttempts = 3;

/**
 * Owners, grants and database settings, which the dump itself leaves out, in an order that works on an empty server:
 * the roles first (no passwords), then what belongs to them.
 * @returns the sidecar, gzipped
 * @throws AgentError `DumpFailed`, `DumpHangs`; the signal's own reason
 */
export async function dumpPrivileges(options: PrivilegesOptions): Promise<Buffer> {
  const { connection, endpoint, applicationName, hangLimitMs } = options;
  const statements = await statementsOf(options);
  const roles = startTool(options.rolesTool, endpoint, ['--roles-only', '--no-role-passwords'], { applicationName });
  const rolesText = await textOf(finished(roles, 'pg_dumpall', options));
  const head = `-- Roles, then owners, grants and settings of the database. Holds no passwords.\n\n`;
  const largeObjects = Buffer.from(await answered(connection, largeObjectRights(connection), hangLimitMs));
  return gzipSync(
    Buffer.concat([Buffer.from(head), rolesText, Buffer.from(`\n${endOfRoles}\n\n`), ...statements, largeObjects]),
  );
}

async function statementsOf(options: PrivilegesOptions): Promise<Buffer[]> {
  for (let attempt = 1; ; attempt++) {
    const statements: Buffer[] = [];
    const schema = startTool(options.dumpTool, options.endpoint, schemaArguments(options), options);
    try {
      for await (const piece of readDump(finished(schema, 'pg_dump', options), { connectAllowed: true })) {
        if (piece.kind === 'statement' && belongsHere(piece.sql)) statements.push(piece.sql, Buffer.from('\n'));
      }
      return statements;
    } catch (error) {
      if (attempt === (options.attempts ?? mostAttempts) || !isLockTimeout(error)) throw error;
      await delay(1000, undefined, { signal: options.signal });
    }
  }
}

function schemaArguments({ snapshotId, excludeTables }: PrivilegesOptions): string[] {
  return [
    '--schema-only',
    '--create',
    '--no-subscriptions',
    `--snapshot=${snapshotId}`,
    `--lock-wait-timeout=${lockWaitMs}`,
    ...excludeTables.map((pattern) => `--exclude-table=${pattern}`),
  ];
}

/** The settings that the statements' own text depends on. */
const setting = /^\s*SET (client_encoding|standard_conforming_strings)\b/;

function belongsHere(statement: Buffer): boolean {
  return setsPrivileges(statement) || setting.test(statement.toString('latin1', 0, 100));
}

/** A tool's output that ends only when the tool exited 0; it is ended when it hangs, and when the signal aborts. */
async function* finished(
  child: ChildProcess,
  name: string,
  { hangLimitMs, signal }: PrivilegesOptions,
): AsyncGenerator<Buffer> {
  let reason: Error | undefined;
  const end = (why: Error) => {
    reason ??= why;
    void child.stop();
  };
  const interrupted = () => end(signal.reason as Error);
  const silence = setTimeout(() => end(hangs(name, hangLimitMs)), hangLimitMs);
  if (signal.aborted) interrupted();
  else signal.addEventListener('abort', interrupted, { once: true });
  try {
    for await (const piece of child.stdout as AsyncIterable<Buffer>) {
      silence.refresh();
      yield piece;
    }
    const { exitCode, signal: killedBy, stderr, startError } = await child.ended;
    if (exitCode === 0 && !reason) return;
    throw new AgentError(
      'DumpFailed',
      `${name} could not read owners and grants (${killedBy ?? exitCode ?? startError}): ${stderr || 'it gave no reason'}`,
      'The role needs to read pg_roles and the schema; a superuser or a member of pg_read_all_data can.',
    );
  } catch (error) {
    throw reason ?? error;
  } finally {
    clearTimeout(silence);
    signal.removeEventListener('abort', interrupted);
    await child.stop();
  }
}

function hangs(name: string, limitMs: number): AgentError {
  return new AgentError(
    'DumpHangs',
    `${name} has written nothing for ${Math.round(limitMs / 1000)} s while it read owners and grants, and was ended.`,
    'Look for a stopped process or a cut connection between it and the server; the next backup reads them again.',
  );
}

async function textOf(pieces: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all);
}
