import type { Journal, Run } from '../journal/journal.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import type { Cleared, Maintenance } from './clear-leftovers.ts';

/**
 * Gives a killed restore (or verify) its outcome: a database that had got its final name was compared and is good, and
 * a half-restored one is dropped.
 * @throws AgentError of a server that cannot be reached: the run is then still open
 */
export async function clearRestore(journal: Journal, run: Run, server: Maintenance): Promise<Cleared> {
  server.checkIsServerOf(run);
  const { into } = run.detail;
  if (await hasFinalName(run, server)) {
    const text = `The agent's process ended just after ${into} was restored, compared and given its name.`;
    journal.finish(run.id, 'succeeded', { warnings: [...(run.detail.warnings ?? []), text] });
    return { runId: run.id, kind: run.kind, state: 'succeeded', text };
  }
  const dropped = await dropScratch(run, server);
  const what = run.kind === 'restore' ? `restore into ${into ?? 'a new database'}` : run.kind;
  const text = `The agent's process ended before the ${what} did.${dropped ? ' The half-restored database was dropped.' : ''}`;
  const state = outcomeOfKilled(run);
  journal.finish(run.id, state, {}, { code: 'AgentDied', text });
  return { runId: run.id, kind: run.kind, state, text };
}

/** One that somebody had asked to end has ended as asked, if not in the way that was meant. */
export function outcomeOfKilled({ state }: Run): 'failed' | 'cancelled' {
  return state === 'cancelling' ? 'cancelled' : 'failed';
}

/** Drops the database that a restore made under a name of its own. @returns whether it was still there */
export async function dropScratch({ detail }: Run, server: Maintenance): Promise<boolean> {
  if (detail.scratchDatabase === undefined) return false;
  server.checkIsServerOf({ detail });
  const connection = await server.connection();
  const { rows } = await connection.query('SELECT FROM pg_database WHERE datname = $1', [detail.scratchDatabase]);
  if (rows.length === 0) return false;
  await connection.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(detail.scratchDatabase)} WITH (FORCE)`);
  return true;
}

/** The rename is the last step, and a database keeps its oid: by the name alone it could be somebody else's. */
async function hasFinalName({ detail }: Run, server: Maintenance): Promise<boolean> {
  if (detail.scratchOid === undefined || detail.into === undefined) return false;
  const connection = await server.connection();
  const { rows } = await connection.query('SELECT FROM pg_database WHERE oid = $1 AND datname = $2', [
    detail.scratchOid,
    detail.into,
  ]);
  return rows.length > 0;
}
