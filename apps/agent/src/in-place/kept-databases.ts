import { AgentError } from '../errors.ts';
import type { Journal } from '../journal/journal.ts';
import type { Connection } from '../postgres/connect.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import { inPlaceRuns } from './in-place-runs.ts';
import { namesOf } from './swap.ts';

/** A database that lost its name to another, and is still there. */
export interface KeptDatabase {
  name: string;
  oid: number;
  /** The name that it had. */
  was: string;
  /** When it lost it, milliseconds since 1970. */
  since: number;
  /** The run that took it. */
  runId: string;
  /** `replaced` by a restore; or `undone`: restored, and taken back. */
  what: 'replaced' | 'undone';
  /** Null where the role may not know. */
  bytes: number | null;
}

/** Those of one database, newest first; only such as this host's journal knows, under the name that it gave them. */
export async function keptDatabases(
  journal: Journal,
  databaseId: string,
  connection: Connection,
): Promise<KeptDatabase[]> {
  const candidates = inPlaceRuns(journal, databaseId).flatMap((run) => {
    const { inPlace, scratchOid } = run.detail;
    const { database: was, keptAs, undoneAs, undoOf } = inPlace;
    const common = { was, since: run.finishedAt ?? run.startedAt, runId: run.id, isOpen: run.finishedAt === null };
    const what = undoOf === undefined ? ('replaced' as const) : ('undone' as const);
    const undone =
      undoneAs === undefined ? [] : [{ ...common, oid: scratchOid, name: undoneAs, what: 'undone' as const }];
    return [{ ...common, oid: inPlace.oid, name: keptAs, what }, ...undone];
  });
  const oids = candidates.map(({ oid }) => oid);
  const names = await namesOf(connection, oids);
  const kept = candidates.filter(({ oid, name, isOpen }) => !isOpen && names.get(oid) === name);
  const sizes = await connection.query<{ oid: number; bytes: number | null }>(
    `SELECT oid, CASE WHEN has_database_privilege(oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE')
                      THEN pg_database_size(oid)::float8 END AS bytes
       FROM pg_database WHERE oid::int8::float8 = ANY ($1::float8[])`,
    [kept.map(({ oid }) => oid)],
  );
  const bytesOf = new Map(sizes.rows.map(({ oid, bytes }) => [oid, bytes]));
  return kept.map(({ name, oid, was, since, runId, what }) => {
    return { name, oid, was, since, runId, what, bytes: bytesOf.get(oid) ?? null };
  });
}

/**
 * Those that are too old or too many, of each kind: restores that did not go well take no place from what they were to
 * replace.
 * @param kept newest first
 */
export function dueOf(
  kept: readonly KeptDatabase[],
  limits: { days: number; count: number },
  nowMs: number,
): KeptDatabase[] {
  const oldest = nowMs - limits.days * 86_400_000;
  return (['replaced', 'undone'] as const).flatMap((kind) =>
    kept.filter(({ what }) => what === kind).filter(({ since }, at) => at >= limits.count || since < oldest),
  );
}

/**
 * Drops those that are due.
 * @returns names of what was dropped, and why others that should have been were not
 */
export async function pruneKept(
  connection: Connection,
  kept: readonly KeptDatabase[],
  limits: { days: number; count: number },
  nowMs: number,
): Promise<{ dropped: string[]; problems: string[] }> {
  const dropped: string[] = [];
  const problems: string[] = [];
  for (const database of dueOf(kept, limits, nowMs)) {
    try {
      await dropKept(connection, database);
      dropped.push(database.name);
    } catch (error) {
      problems.push((error as Error).message);
    }
  }
  return { dropped, problems };
}

/**
 * Drops one that nobody is connected to.
 * @throws AgentError `RestoreFailed`
 */
export async function dropKept(connection: Connection, { name, oid }: KeptDatabase): Promise<void> {
  try {
    // By its name alone it could be another by now.
    if ((await namesOf(connection, [oid])).get(oid) !== name)
      throw new Error('it is not the database that was kept any more');
    await connection.query(`DROP DATABASE ${quoteIdentifier(name)}`);
  } catch (cause) {
    throw new AgentError(
      'RestoreFailed',
      `${name} could not be dropped: ${(cause as Error).message}.`,
      'If somebody is connected to it, find out whether it is still needed; a subscription has to be dropped in it first.',
      { cause },
    );
  }
}
