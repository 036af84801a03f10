import type { HooksConfiguration } from '../configuration/index.ts';
import { AgentError } from '../errors.ts';
import { isInPlace } from '../in-place/in-place-runs.ts';
import { endLeftHook } from '../hooks/hook-process.ts';
import { recoverInPlace } from '../in-place/recover.ts';
import { aloneAtNames } from '../in-place/swap-lock.ts';
import { statusOf } from '../into-live/live-transaction.ts';
import type { Journal, Run } from '../journal/journal.ts';
import { dropOwnDatabase } from '../restore/drop-scratch.ts';
import { dropUntrustedRole } from '../restore/untrusted-role.ts';
import type { Cleared } from './clear-leftovers.ts';
import type { Servers } from './servers.ts';

/**
 * Gives a killed restore (or verify) its outcome: a database that had got its final name was compared and is good, and
 * a half-restored one is dropped.
 * @throws AgentError of a server that cannot be reached: the run is then still open
 */
export async function clearRestore(
  journal: Journal,
  run: Run,
  servers: Servers,
  { hooks, stateDir, now }: { hooks: HooksConfiguration; stateDir: string; now: () => number },
): Promise<Cleared> {
  if (isInPlace(run)) {
    const { databaseId, database } = run;
    return aloneAtNames({ stateDir, databaseId, database }, async () => {
      const recovered = await recoverInPlace(run, {
        journal,
        connection: await servers.connectionTo(run),
        maintenance: await servers.endpointOf(run),
        hooks,
        now,
        // What cannot be dropped now is, as of any run that could not clear behind itself, tried again.
        dropScratch: async () => dropScratch(run, servers).catch(() => false),
      });
      const { detail, text } = recovered;
      const state = recovered.state === 'failed' ? outcomeOfKilled(run) : 'succeeded';
      journal.finish(run.id, state, detail, state === 'succeeded' ? undefined : { code: 'AgentDied', text });
      return { runId: run.id, kind: run.kind, state, text };
    });
  }
  await endLeftHook(run);
  const { into } = run.detail;
  const live = await liveStatus(run, servers);
  if (live === 'committed') {
    await dropScratch(run, servers);
    const text = `The agent's process ended just after ${into} had got the tables.`;
    journal.finish(run.id, 'succeeded', { warnings: [...(run.detail.warnings ?? []), text] });
    return { runId: run.id, kind: run.kind, state: 'succeeded', text };
  }
  if (await hasFinalName(run, servers)) {
    const text = `The agent's process ended just after ${into} was restored, compared and given its name.`;
    journal.finish(run.id, 'succeeded', { warnings: [...(run.detail.warnings ?? []), text] });
    return { runId: run.id, kind: run.kind, state: 'succeeded', text };
  }
  const dropped = await dropScratch(run, servers);
  const what = run.kind === 'restore' ? `restore into ${into ?? 'a new database'}` : run.kind;
  const ended =
    live === 'unknown'
      ? `The agent's process ended while ${into} was to get the tables, and the server does not remember whether it did.`
      : `The agent's process ended before the ${what} did.`;
  const text = `${ended}${dropped ? ' The half-restored database was dropped.' : ''}`;
  const state = outcomeOfKilled(run);
  journal.finish(run.id, state, {}, { code: 'AgentDied', text });
  return { runId: run.id, kind: run.kind, state, text };
}

/** One that somebody had asked to end has ended as asked, if not in the way that was meant. */
export function outcomeOfKilled({ state }: Run): 'failed' | 'cancelled' {
  return state === 'cancelling' ? 'cancelled' : 'failed';
}

/** Drops the database that a restore made under a name of its own, and its role. @returns whether the database was still there */
export async function dropScratch({ detail }: Run, servers: Servers): Promise<boolean> {
  if (detail.scratchDatabase === undefined) return false;
  const connection = await servers.connectionTo({ detail });
  const { rows } = await connection.query('SELECT FROM pg_database WHERE datname = $1', [detail.scratchDatabase]);
  await dropOwnDatabase(connection, detail.scratchDatabase);
  // What was its own has gone with the database.
  if (detail.untrustedRole !== undefined) await dropUntrustedRole(connection, detail.untrustedRole);
  return rows.length > 0;
}

/**
 * Its session was told to go before: what it has not committed once it is gone never will be.
 * @throws AgentError `ConnectionLost` while it is still there: the run stays open
 */
async function liveStatus({ detail }: Run, servers: Servers): Promise<'none' | 'unknown' | 'committed' | 'aborted'> {
  if (detail.liveTransaction === undefined) return 'none';
  const status = await statusOf(await servers.connectionTo({ detail }), detail.liveTransaction);
  if (status !== 'in progress') return status ?? 'unknown';
  throw new AgentError(
    'ConnectionLost',
    `The server is still at the end of its transaction ${detail.liveTransaction} in ${detail.into}.`,
    'It is asked again at the next start.',
  );
}

/** The rename is the last step, and a database keeps its oid: by the name alone it could be somebody else's. */
async function hasFinalName({ detail }: Run, servers: Servers): Promise<boolean> {
  if (detail.scratchOid === undefined || detail.into === undefined) return false;
  const connection = await servers.connectionTo({ detail });
  const { rows } = await connection.query('SELECT FROM pg_database WHERE oid = $1 AND datname = $2', [
    detail.scratchOid,
    detail.into,
  ]);
  return rows.length > 0;
}
