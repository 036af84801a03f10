import { newId, nextAlerts, type AlertStep } from '@strideiq/core';
import { eq, gt, isNull, or } from 'drizzle-orm';
import type { CatalogTransaction } from '../catalog/open-catalog.ts';
import { alerts } from '../catalog/schema.ts';
import type { CatalogReader } from '../copies/backup-copies.ts';
import type { AlertSubject, Judged } from './judge-all.ts';

export type AlertRow = typeof alerts.$inferSelect;

const dayMs = 86_400_000;

/**
 * Carries on what is open by what rules say now, opens what is new and resolves what is over.
 * @param pending what held at the last look and was no alert yet
 * @returns what holds now and is no alert yet
 */
export function recordAlerts(
  tx: CatalogTransaction,
  { judgements, subjects, unjudged }: Judged,
  pending: ReadonlyMap<string, number>,
  now: number,
): Map<string, number> {
  const open = openAlerts(tx).filter(({ databaseId }) => databaseId === null || !unjudged.has(databaseId));
  const lately = tx
    .select()
    .from(alerts)
    .where(or(gt(alerts.openedAt, now - dayMs), gt(alerts.silencedUntil, now)))
    .all();
  const next = nextAlerts({ now, judgements, open, lately, pending, newId: () => newId(now) });
  const before = new Map(open.map((row) => [row.id, row]));
  for (const step of next.steps) record(tx, step, before.get(step.alert.id), subjects.get(step.alert.subject), now);
  return next.pending;
}

export function openAlerts(tx: CatalogReader): AlertRow[] {
  return tx.select().from(alerts).where(isNull(alerts.resolvedAt)).all();
}

function record(
  tx: CatalogTransaction,
  { alert, tells }: AlertStep,
  before: AlertRow | undefined,
  about: AlertSubject | undefined,
  now: number,
): void {
  const untold = { untold: untoldOf(before?.untold ?? null, tells), untoldSince: before?.untoldSince ?? null };
  if (untold.untold !== null && untold.untoldSince === null) untold.untoldSince = now;
  const { id, state, severity, text, clearSince, resolvedAt, silencedUntil, told, remindAt } = alert;
  const changed = { state, severity, text, clearSince, resolvedAt, silencedUntil, told, remindAt, ...untold };
  if (before) {
    tx.update(alerts).set(changed).where(eq(alerts.id, id)).run();
    return;
  }
  const { rule, subject, openedAt } = alert;
  const { name = subject, environment = null, databaseId = null } = about ?? {};
  tx.insert(alerts)
    .values({ id, rule, subject, openedAt, name, environment, databaseId, ...changed })
    .run();
}

/** A message that has not gone out yet says the latest. */
function untoldOf(before: AlertRow['untold'], tells: AlertStep['tells']): AlertRow['untold'] {
  if (tells === 'resolved' || before === null) return tells ?? before;
  return before;
}
