import {
  isMassRemoval,
  planRetention,
  retentionRulesSchema,
  usualRetention,
  type CopyState,
  type RetainedCopy,
  type RetentionPlan,
  type RetentionRules,
} from '@strideiq/core';
import { and, eq } from 'drizzle-orm';
import { backups, copies, databases, stores } from '../catalog/schema.ts';
import type { CatalogReader } from '../copies/backup-copies.ts';
import type { StoreRow } from '../copies/own-stores.ts';

type DatabaseRow = typeof databases.$inferSelect;

/** What retention says of one store, by what the catalog knows. */
export interface PlannedStore {
  store: StoreRow;
  plan: RetentionPlan;
  /** More would go at once than goes from day to day: somebody has to look first. */
  isMass: boolean;
  /** Why nothing was planned, where nothing was. */
  problem?: string;
}

/** What a copy is worth; those that are on their way in or out are none that retention looks at. */
const worth: Partial<Record<CopyState, RetainedCopy['state']>> = {
  verified: 'verified',
  stored: 'good',
  corrupt: 'bad',
  missing: 'bad',
};

/** Plans for every store of a database. A policy that cannot be read removes nothing. */
export function planStores(tx: CatalogReader, databaseId: string, now: number): PlannedStore[] {
  const database = tx.select().from(databases).where(eq(databases.id, databaseId)).get();
  if (!database) return [];
  const own = tx.select().from(stores).where(eq(stores.databaseId, databaseId)).all();
  return own.map((store) => {
    const rules = rulesOf(database, store);
    const timezone = timezoneOf(database);
    if (typeof rules === 'string' || timezone === undefined) {
      const problem = typeof rules === 'string' ? rules : 'the time zone of its policy is none';
      return { store, plan: { keep: [], remove: [] }, isMass: false, problem };
    }
    const known = copiesIn(tx, databaseId, store.id);
    const plan = planRetention({ now, copies: known, rules, pins: [], least: 1, timezone });
    return { store, plan, isMass: isMassRemoval(plan) };
  });
}

function copiesIn(tx: CatalogReader, databaseId: string, storeId: string): RetainedCopy[] {
  const rows = tx
    .select({ copy: copies, backup: backups })
    .from(copies)
    .innerJoin(backups, eq(backups.id, copies.backupId))
    .where(and(eq(copies.storeId, storeId), eq(backups.databaseId, databaseId)))
    .all();
  return rows.flatMap(({ copy, backup }) => {
    const state = worth[copy.state];
    if (state === undefined) return [];
    const at = backup.hostSnapshotAt ?? backup.hostFinishedAt;
    return [{ backupId: backup.id, at, state, safety: backup.safety, sizeBytes: copy.sizeBytes ?? backup.bytes }];
  });
}

/** @returns the problem, where they cannot be read */
function rulesOf({ policy }: DatabaseRow, { name, type }: StoreRow): RetentionRules | string {
  const { retention = {} } = policy as { retention?: Record<string, unknown> };
  const said = retention[name];
  if (said === undefined) return usualRetention[type];
  const { data, error } = retentionRulesSchema.safeParse(said);
  return data ?? `its rules cannot be read: ${error?.issues.map(({ message }) => message).join('; ')}`;
}

function timezoneOf({ policy }: DatabaseRow): string | undefined {
  const { timezone = 'UTC' } = policy as { timezone?: unknown };
  try {
    return new Intl.DateTimeFormat('en', { timeZone: String(timezone) }).resolvedOptions().timeZone && String(timezone);
  } catch {
    return undefined;
  }
}
