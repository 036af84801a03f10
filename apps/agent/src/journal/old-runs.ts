import { keepReportsMs } from '@strideiq/protocol';
import { and, eq, inArray, lt, notInArray, sql } from 'drizzle-orm';
import type { JournalDatabase } from './open-journal.ts';
import { backupKinds, findings, runs, type CopyOutcome, type PlannedCopy } from './schema.ts';

/**
 * How long runs and commands that have ended are kept. What a control plane may still ask about is at most as old as the
 * reports that are kept for it; a clock may be off, and people look back for a season.
 */
export const keepEndedMs = 3 * keepReportsMs;

/** Of each kind so many of a database's are kept, however old: by them the next one is estimated. */
const newestKept = 20;
/** Restores in place are asked for as long as what they replaced is kept: see in-place/in-place-runs.ts. */
const newestRestoresKept = 1000;

const ended = ['succeeded', 'failed', 'cancelled'];

/** Among the newest of their database and kind. */
const newest = sql`SELECT id FROM (
    SELECT id, kind, row_number() OVER (PARTITION BY database_id, kind ORDER BY started_at DESC, id DESC) AS place FROM runs
  ) WHERE place <= iif(kind = 'restore', ${newestRestoresKept}, ${newestKept})`;

/** An old run of a backup, and where copies of it may be. */
export interface OldBackup {
  runId: string;
  copies: { storeId: string; dumpKey: string }[];
}

/**
 * Runs that nobody needs any more. A backup's run is needed for as long as a store holds a copy: what it holds, who made it
 * and whether it is whole is known by it.
 */
export class OldRuns {
  readonly #db: JournalDatabase;
  readonly #now: () => number;

  constructor(db: JournalDatabase, now: () => number) {
    this.#db = db;
    this.#now = now;
  }

  /** Lets go of all but those of backups. */
  prune(): void {
    this.#db
      .delete(runs)
      .where(and(this.#areOld, notInArray(runs.kind, [...backupKinds])))
      .run();
  }

  get #areOld() {
    return and(
      inArray(runs.state, ended),
      lt(runs.finishedAt, this.#now() - keepEndedMs),
      sql`${runs.id} NOT IN (${newest})`,
    );
  }

  /** Of a database; whether their copies are gone only the stores can tell. */
  backups(databaseId: string): OldBackup[] {
    return this.#db
      .select({ runId: runs.id, copies: sql<string | null>`json_extract(${runs.detail}, '$.copies')` })
      .from(runs)
      .where(and(this.#areOld, inArray(runs.kind, [...backupKinds]), eq(runs.databaseId, databaseId)))
      .all()
      .map(({ runId, copies }) => ({
        runId,
        copies: (JSON.parse(copies ?? '[]') as (PlannedCopy | CopyOutcome)[]).filter(mayBeThere),
      }));
  }

  /** Lets go of runs of backups, and of what is known of copies that are neither there nor named by any run. */
  letGo(databaseId: string, runIds: readonly string[], there: ReadonlyMap<string, ReadonlySet<string>>): void {
    this.#db.transaction(
      () => {
        const ids = JSON.stringify(runIds);
        this.#db.run(sql`DELETE FROM runs WHERE id IN (SELECT value FROM json_each(${ids}))`);
        const named = sql`SELECT json_extract(value, '$.dumpKey') FROM runs, json_each(runs.detail, '$.copies')
          WHERE ${inArray(runs.kind, [...backupKinds])} AND runs.database_id = ${databaseId}`;
        for (const [storeId, keys] of there) {
          const held = sql`SELECT value FROM json_each(${JSON.stringify([...keys])})`;
          this.#db
            .delete(findings)
            .where(
              and(
                eq(findings.storeId, storeId),
                sql`${findings.key} NOT IN (${held})`,
                sql`${findings.key} NOT IN (${named})`,
              ),
            )
            .run();
        }
      },
      { behavior: 'immediate' },
    );
  }
}

function mayBeThere(copy: PlannedCopy | CopyOutcome): boolean {
  return !('state' in copy) || copy.state === 'stored' || copy.mayHaveLeft === true;
}
