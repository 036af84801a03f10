import { setTimeout as delay } from 'node:timers/promises';
import { AgentError } from '../errors.ts';
import type { Journal } from '../journal/journal.ts';
import { answered, connect, endConnection, type Connection } from '../postgres/connect.ts';
import type { Endpoint } from '../postgres/endpoint.ts';
import { applicationNameOf } from '../restore/maintenance-session.ts';

/** What became of a transaction; undefined where the server does not remember (PostgreSQL docs, `pg_xact_status`). */
export type TransactionStatus = 'committed' | 'aborted' | 'in progress' | undefined;

/** Of a transaction of any database of the server. */
export async function statusOf(connection: Connection, id: string): Promise<TransactionStatus> {
  try {
    const { rows } = await connection.query<{ status: TransactionStatus | null }>(
      'SELECT pg_catalog.pg_xact_status($1::pg_catalog.xid8) AS status',
      [id],
    );
    return rows[0]?.status ?? undefined;
  } catch (error) {
    // One of the future: the server was set back since.
    if (error instanceof Error && 'code' in error && error.code === '22023') return undefined;
    throw error;
  }
}

const answerLimitMs = 10_000;
const askLimitMs = 60_000;
const pauseMs = 200;

/**
 * Commits, once the journal knows which transaction it is: whoever finds the run after a kill asks the server what became
 * of it, and so does this where the answer is lost.
 * @throws what COMMIT threw, where nothing was committed; AgentError `OutcomeUnknown` where nobody can tell
 */
export async function commitNoted(
  connection: Connection,
  { endpoint, journal, runId }: { endpoint: Endpoint; journal: Journal; runId: string },
): Promise<void> {
  const { rows } = await connection.query<{ id: string; pid: number }>(
    'SELECT pg_catalog.pg_current_xact_id()::text AS id, pg_catalog.pg_backend_pid() AS pid',
  );
  const { id = '', pid = 0 } = rows[0] ?? {};
  journal.describe(runId, { liveTransaction: id });
  try {
    const { command } = await connection.query('COMMIT');
    if (command !== 'COMMIT') throw new Error('the server rolled it back');
  } catch (cause) {
    if (!(await isCommittedAtLast({ endpoint, runId }, { id, pid }))) throw cause;
  }
}

/** A session that has lost its client may still be at it: it is told to go, and then it has done it or not. */
async function isCommittedAtLast(
  { endpoint, runId }: { endpoint: Endpoint; runId: string },
  { id, pid }: { id: string; pid: number },
): Promise<boolean> {
  const giveUpAt = performance.now() + askLimitMs;
  for (;;) {
    const status = await askAgain(endpoint, runId, { id, pid }).catch(() => 'unreachable' as const);
    if (status === 'committed') return true;
    if (status === 'aborted') return false;
    if (performance.now() > giveUpAt || status === undefined) throw unknown(id);
    await delay(pauseMs);
  }
}

async function askAgain(
  endpoint: Endpoint,
  runId: string,
  { id, pid }: { id: string; pid: number },
): Promise<TransactionStatus> {
  const connection = await connect(endpoint, { applicationName: applicationNameOf(runId) });
  try {
    const status = await answered(connection, statusOf(connection, id), answerLimitMs);
    if (status === 'in progress') await connection.query('SELECT pg_catalog.pg_terminate_backend($1)', [pid]);
    return status;
  } finally {
    await endConnection(connection);
  }
}

function unknown(id: string): AgentError {
  return new AgentError(
    'OutcomeUnknown',
    'The server was lost while it committed, and does not say whether it did: the tables are as they were, or as in the backup.',
    `Ask it when it is there again: SELECT pg_xact_status('${id}'); and run the restore again if it was not committed.`,
  );
}
