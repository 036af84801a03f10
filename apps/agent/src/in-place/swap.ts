import { setTimeout as delay } from 'node:timers/promises';
import { AgentError } from '../errors.ts';
import { connect, endConnection, type Connection } from '../postgres/connect.ts';
import type { Endpoint } from '../postgres/endpoint.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import { applicationNameOf, onMaintenance } from '../restore/maintenance-session.ts';

/** One database takes the name of another, which is kept under a name of its own. */
export interface Swap {
  /** The name that is handed on. */
  name: string;
  /** Of the database that has it now. */
  oldOid: number;
  /** What that one is called afterwards. */
  keptAs: string;
  /** Of the database that gets it, and what that one is called now. */
  newOid: number;
  newName: string;
  /** Whether everyone may connect to it from then on. */
  opensToPublic: boolean;
}

export interface Server {
  maintenance: Endpoint;
  runId: string;
}

const mostAttempts = 6;
const pauseMs = 500;

/** Longest wait for the name itself, which newcomers wait behind: somebody's open ALTER or COMMENT on it may hold it. */
const lockLimit = '2s';
const serverLimitMs = 120_000;

/** PostgreSQL's own patience for sessions that are told to go (procarray.c, CountOtherDBBackends: 5 s), and some. */
const endEveryMs = 20;

/**
 * Swaps in one transaction. While it holds the name, sessions that want to come back wait for it, and those that are
 * there are ended; a session that cannot be ended in time has it tried again.
 * @throws AgentError `SwapFailed`: both databases are then called what they were
 */
export async function swapDatabases(server: Server, swap: Swap): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const failure = await attemptSwap(server, swap);
    if (failure === undefined) return;
    if (attempt < mostAttempts && mayGoAway(failure)) {
      await delay(pauseMs);
      continue;
    }
    throw failure instanceof AgentError && failure.code === 'SwapFailed' ? failure : swapError(swap, failure);
  }
}

async function attemptSwap({ maintenance, runId }: Server, swap: Swap): Promise<unknown> {
  const applicationName = applicationNameOf(runId);
  const connections: Connection[] = [];
  let renamingPid: number | undefined;
  try {
    const renaming = await connect(maintenance, { applicationName });
    connections.push(renaming);
    const ending = await connect(maintenance, { applicationName });
    connections.push(ending);
    await checkOids(renaming, swap);
    renamingPid = await pidOf(renaming);
    await swapOver({ renaming, renamingPid, ending }, swap);
    return undefined;
  } catch (error) {
    if (error instanceof AgentError || renamingPid === undefined) return error;
    // The answer to COMMIT may be what was lost.
    return (await isSwappedAtLast({ maintenance, runId }, swap, renamingPid)) ? undefined : error;
  } finally {
    for (const connection of connections) await endConnection(connection);
  }
}

/** Names may have been handed on by somebody else meanwhile. */
async function checkOids(connection: Connection, { name, oldOid, newName, newOid, keptAs }: Swap): Promise<void> {
  const names = await namesOf(connection, [oldOid, newOid]);
  if (names.get(oldOid) === name && names.get(newOid) === newName) return;
  const say = (oid: number) => names.get(oid) ?? 'nowhere any more';
  throw new AgentError(
    'SwapFailed',
    `${name} is not the database that it was when this restore began: that one is now ${say(oldOid)}, and the restored one is ${say(newOid)}.`,
    `Nothing was renamed. Find out who renames or drops databases here; the replaced one would have been kept as ${keptAs}.`,
  );
}

interface Connections {
  renaming: Connection;
  renamingPid: number;
  ending: Connection;
}

async function swapOver({ renaming, renamingPid, ending }: Connections, swap: Swap): Promise<void> {
  const { name, oldOid, keptAs, newOid, newName, opensToPublic } = swap;
  const over = new AbortController();
  await renaming.query(`BEGIN; SET LOCAL lock_timeout = '${lockLimit}'`);
  // RENAME first takes the name's lock, before which newcomers wait, and then waits for sessions to go.
  const ended = endSessions(ending, [oldOid, newOid], renamingPid, over.signal);
  try {
    await renaming.query(`ALTER DATABASE ${quoteIdentifier(name)} RENAME TO ${quoteIdentifier(keptAs)}`);
    await renaming.query(`ALTER DATABASE ${quoteIdentifier(newName)} RENAME TO ${quoteIdentifier(name)}`);
    if (opensToPublic) {
      await renaming.query(`GRANT CONNECT, TEMPORARY ON DATABASE ${quoteIdentifier(name)} TO PUBLIC`);
    }
    await renaming.query('COMMIT');
  } finally {
    over.abort();
    await ended;
  }
}

/**
 * Again and again, since one may just have come in; none while the name itself is waited for. Whether it was of use is told
 * by the rename. Whom a role may not end (superusers, the server's own workers) it does not try to.
 */
async function endSessions(
  connection: Connection,
  oids: readonly number[],
  renamingPid: number,
  until: AbortSignal,
): Promise<void> {
  while (!until.aborted) {
    await connection
      .query(
        `SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a LEFT JOIN pg_roles r ON r.oid = a.usesysid
          WHERE a.datid::int8::float8 = ANY ($1::float8[])
            AND (NOT r.rolsuper OR (SELECT m.rolsuper FROM pg_roles m WHERE m.rolname = current_user))
            AND NOT EXISTS (SELECT FROM pg_stat_activity w WHERE w.pid = $2 AND w.wait_event_type = 'Lock')`,
        [oids, renamingPid],
      )
      .catch(() => undefined);
    await delay(endEveryMs, undefined, { signal: until }).catch(() => undefined);
  }
}

async function pidOf(connection: Connection): Promise<number> {
  const { rows } = await connection.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  return rows[0]?.pid ?? 0;
}

/**
 * A server that was lost in the middle may come back: nothing else can tell what has become of the names, and that only
 * once the session that was to hand them on is gone, which may be in the middle of its COMMIT.
 */
async function isSwappedAtLast(server: Server, swap: Swap, renamingPid: number): Promise<boolean> {
  const giveUpAt = performance.now() + serverLimitMs;
  for (;;) {
    try {
      const isGone = await onMaintenance(server.maintenance, server.runId, async (connection) =>
        ended(connection, renamingPid, server.runId),
      );
      if (isGone) return await isSwapped(server, swap);
      throw new Error('the session that renames is still there');
    } catch (cause) {
      if (performance.now() < giveUpAt) {
        await delay(1000);
        continue;
      }
      throw new AgentError(
        'SwapFailed',
        `The server was lost while ${swap.name} was replaced, so that it is not known which database bears that name.`,
        `Once the server is back: SELECT oid, datname FROM pg_database; the replaced one is ${swap.oldOid}, the restored one ${swap.newOid}.`,
        { cause },
      );
    }
  }
}

/** Ends a session of this run. @returns whether it is gone */
async function ended(connection: Connection, pid: number, runId: string): Promise<boolean> {
  const { rows } = await connection.query(
    'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND application_name = $2',
    [pid, applicationNameOf(runId)],
  );
  return rows.length === 0;
}

/** Whether the new database has the name. */
async function isSwapped({ maintenance, runId }: Server, { name, newOid }: Swap): Promise<boolean> {
  return onMaintenance(maintenance, runId, async (connection) => {
    return (await namesOf(connection, [newOid])).get(newOid) === name;
  });
}

/** What databases are called now, by oid; those that are gone are missing. */
export async function namesOf(connection: Connection, oids: readonly number[]): Promise<Map<number, string>> {
  const { rows } = await connection.query<{ oid: number; name: string }>(
    'SELECT oid, datname::text AS name FROM pg_database WHERE oid::int8::float8 = ANY ($1::float8[])',
    [oids],
  );
  return new Map(rows.map(({ oid, name }) => [oid, name]));
}

/**
 * 55006 object_in_use: a session has not gone, or a prepared transaction came in. 55P03: somebody holds the name. 57P01: our
 * own session was ended by somebody. What does not let us in may do so a moment later; nothing was begun then.
 */
function mayGoAway(error: unknown): boolean {
  if (error instanceof AgentError) return error.code === 'ServerUnreachable';
  return error instanceof Error && 'code' in error && ['55006', '55P03', '57P01'].includes(String(error.code));
}

function swapError({ name, keptAs }: Swap, cause: unknown): AgentError {
  const detail = cause instanceof Error && 'detail' in cause ? ` (${String(cause.detail)})` : '';
  return new AgentError(
    'SwapFailed',
    `${name} could not be renamed to ${keptAs}: ${(cause as Error).message}${detail}.`,
    `${name} is what it was. Look for sessions that nobody could end and for prepared transactions: SELECT * FROM pg_stat_activity WHERE datname = '${name}'; SELECT * FROM pg_prepared_xacts;`,
    { cause },
  );
}
