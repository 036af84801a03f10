import { acknowledged, silenced, type Alert } from '@strideiq/core';
import { eq } from 'drizzle-orm';
import { recordAudit } from '../audit/audit.ts';
import type { Catalog, CatalogTransaction } from '../catalog/open-catalog.ts';
import { alerts } from '../catalog/schema.ts';
import { ControlPlaneError } from '../errors.ts';
import type { AlertRow } from './record-alerts.ts';

export interface ChangeParts {
  catalog: Catalog;
  now: () => number;
}

interface Change {
  alertId: string;
  /** An API key's id. */
  actor: string;
  note: string | undefined;
}

/** Somebody has taken it on. Twice is as once. @throws ControlPlaneError `NotFound`, `AlertOver` */
export function acknowledgeAlert(parts: ChangeParts, change: Change): AlertRow {
  return changeAlert(parts, change, 'alert.acknowledge', (row, now) => {
    if (row.state === 'acknowledged') return {};
    return { ...changedOf(acknowledged(row)), acknowledgedAt: now, acknowledgedBy: change.actor };
  });
}

/**
 * Nobody is told of it before then, should it be resolved and come again meanwhile, too.
 * @throws ControlPlaneError `NotFound`, `AlertOver`; `InputInvalid` for a moment that is over
 */
export function silenceAlert(parts: ChangeParts, change: Change & { until: number }): AlertRow {
  return changeAlert(parts, change, 'alert.silence', (row, now) => {
    if (change.until <= now) {
      throw new ControlPlaneError(
        'InputInvalid',
        'The silence would be over already.',
        'Name a moment that is to come.',
      );
    }
    return {
      ...changedOf(silenced(row, change.until)),
      silencedBy: change.actor,
      untold: null,
      untoldSince: null,
    };
  });
}

/** Ends a silence: it is told of again with the next look, where it still holds. @throws ControlPlaneError `NotFound`, `AlertOver` */
export function unsilenceAlert(parts: ChangeParts, change: Change): AlertRow {
  return changeAlert(parts, change, 'alert.unsilence', (row, now) =>
    row.state === 'silenced' ? { silencedUntil: now } : {},
  );
}

function changedOf({ state, silencedUntil, remindAt }: Alert): Partial<AlertRow> {
  return { state, silencedUntil, remindAt };
}

function changeAlert(
  { catalog, now }: ChangeParts,
  { alertId, actor, note }: Change,
  action: string,
  change: (row: AlertRow, now: number) => Partial<AlertRow>,
): AlertRow {
  return catalog.transaction(
    (tx) => {
      const row = openAlert(tx, alertId);
      const changed = { ...change(row, now()), ...(note === undefined ? {} : { note }) };
      if (Object.keys(changed).length === 0) return row;
      const { rule, subject, environment } = row;
      const { silencedUntil } = changed;
      const detail = {
        rule,
        subject,
        note,
        ...(silencedUntil == null ? {} : { until: new Date(silencedUntil).toISOString() }),
      };
      const entry = { actor, action, subject: alertId, detail };
      recordAudit(tx, environment === null ? entry : { ...entry, environment }, now());
      return tx.update(alerts).set(changed).where(eq(alerts.id, alertId)).returning().get();
    },
    { behavior: 'immediate' },
  );
}

function openAlert(tx: CatalogTransaction, alertId: string): AlertRow {
  const row = tx.select().from(alerts).where(eq(alerts.id, alertId)).get();
  if (!row) throw new ControlPlaneError('NotFound', `There is no alert ${alertId}.`, 'GET /api/v1/alerts lists them.');
  if (row.resolvedAt === null) return row;
  const when = new Date(row.resolvedAt).toISOString();
  throw new ControlPlaneError(
    'AlertOver',
    `The alert ${alertId} was resolved at ${when}.`,
    'There is nothing left to do.',
  );
}
