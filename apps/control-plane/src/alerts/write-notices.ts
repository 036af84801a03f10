import {
  afterMessage,
  alertRules,
  newId,
  nextMessageAt,
  noticeStates,
  severities,
  type RuleName,
  type Severity,
} from '@strideiq/core';
import { and, desc, eq, isNotNull, isNull, ne } from 'drizzle-orm';
import type { CatalogTransaction } from '../catalog/open-catalog.ts';
import { alerts, messagePaces, notices } from '../catalog/schema.ts';
import type { Notice, NoticeAlert } from '../channels/notice.ts';
import type { AlertRow } from './record-alerts.ts';

/** A channel, as far as it matters for what it is told. */
export interface Told {
  name: string;
  takes: (about: { environment: string | null; severity: Severity; rule: RuleName }) => boolean;
}

/** Alerts that one message names; the others are a number in it. */
export const mostListed = 20;

/**
 * Makes the messages that are due: one for each group of alerts and channel, of all that has happened in it since the last.
 * A message that still waits is taken into the newer one, so that a channel that was away is not flooded when it is back.
 */
export function writeNotices(
  tx: CatalogTransaction,
  { channels, publicUrl, now }: { channels: readonly Told[]; publicUrl: string | undefined; now: number },
): void {
  const untold = tx.select().from(alerts).where(isNotNull(alerts.untold)).all();
  for (const [group, rows] of Map.groupBy(untold, groupOf)) {
    const [first] = rows;
    if (!first) continue;
    const { rule, environment } = first;
    const pace = tx.select().from(messagePaces).where(eq(messagePaces.group, group)).get();
    const since = Math.min(...rows.map(({ untoldSince }) => untoldSince ?? now));
    if (now < nextMessageAt(pace, since)) continue;
    const notice = noticeOf(
      { group, rule, environment, untold: rows, open: stillOpen(tx, { rule, environment }) },
      publicUrl,
      now,
    );
    for (const { id } of rows)
      tx.update(alerts).set({ untold: null, untoldSince: null }).where(eq(alerts.id, id)).run();
    const next = afterMessage(pace, now);
    tx.insert(messagePaces)
      .values({ group, ...next })
      .onConflictDoUpdate({ target: messagePaces.group, set: next })
      .run();
    for (const { name, takes } of channels) {
      // What does not arrive cannot tell of it.
      if (rows.some(({ subject, resolvedAt }) => subject === `channel:${name}` && resolvedAt === null)) continue;
      const isTold = takes({ environment, rule, severity: notice.severity });
      // Whoever was told that it began hears that it is over, however little there was left of it at its end.
      if (isTold || (notice.kind === 'resolved' && wasTold(tx, name, group))) insertNotice(tx, name, notice, now);
    }
  }
}

/** Whether the last word to a channel of a group was not that it is over. */
function wasTold(tx: CatalogTransaction, channel: string, group: string): boolean {
  const last = tx
    .select()
    .from(notices)
    .where(and(eq(notices.channel, channel), eq(notices.group, group)))
    .orderBy(desc(notices.id))
    .limit(1)
    .get();
  return last !== undefined && last.notice.kind !== 'resolved';
}

export function groupOf({ environment, rule }: Pick<AlertRow, 'environment' | 'rule'>): string {
  return `${environment ?? ''}/${rule}`;
}

function stillOpen(tx: CatalogTransaction, { environment, rule }: Pick<AlertRow, 'environment' | 'rule'>): AlertRow[] {
  const inEnvironment = environment === null ? isNull(alerts.environment) : eq(alerts.environment, environment);
  const open = and(isNull(alerts.resolvedAt), eq(alerts.rule, rule), inEnvironment, ne(alerts.state, 'silenced'));
  return tx.select().from(alerts).where(open).all();
}

/** What has happened in a group since its last message, and what goes on in it. */
interface GroupNews extends Pick<AlertRow, 'environment' | 'rule'> {
  group: string;
  untold: readonly AlertRow[];
  open: readonly AlertRow[];
}

function noticeOf(
  { group, rule, environment, untold, open }: GroupNews,
  publicUrl: string | undefined,
  now: number,
): Notice {
  const news = new Set(untold.map(({ id }) => id));
  const listed = [
    ...untold.toSorted(
      (one, other) => Number(one.resolvedAt !== null) - Number(other.resolvedAt !== null) || worse(one, other),
    ),
    ...open.filter(({ id }) => !news.has(id)).toSorted(worse),
  ];
  const { title, meaning, cure } = alertRules[rule];
  const kind = kindOf(untold, open);
  return {
    id: newId(now),
    group,
    kind,
    severity: worst(open.length > 0 ? open : untold),
    environment,
    rule,
    title: `${title}: ${subjectsText(kind === 'resolved' ? untold : open)}${environment === null ? '' : ` (${environment})`}`,
    meaning,
    cure,
    alerts: listed.slice(0, mostListed).map(noticeAlertOf),
    more: Math.max(0, listed.length - mostListed),
    link: publicUrl ?? null,
    at: now,
  };
}

function kindOf(untold: readonly AlertRow[], open: readonly AlertRow[]): Notice['kind'] {
  if (open.length === 0) return 'resolved';
  return untold.some((row) => row.untold === 'opened') ? 'opened' : 'reminder';
}

const mostNamed = 3;

function subjectsText(rows: readonly AlertRow[]): string {
  if (rows.length > mostNamed) return `${rows.length} of them`;
  return rows.map(({ name }) => name).join(', ');
}

const rankOf = ({ severity }: AlertRow) => severities.indexOf(severity);
const worse = (one: AlertRow, other: AlertRow) => rankOf(other) - rankOf(one) || one.openedAt - other.openedAt;

function worst(rows: readonly AlertRow[]): Severity {
  return rows.toSorted(worse)[0]?.severity ?? 'info';
}

export function noticeAlertOf({ id, name, text, openedAt, resolvedAt }: AlertRow): NoticeAlert {
  return { id, subject: name, text, openedAt, ...(resolvedAt === null ? {} : { resolvedAt }) };
}

/** Puts a message on its way, in the place of those of its group that still wait. */
export function insertNotice(tx: CatalogTransaction, channel: string, notice: Notice, now: number): void {
  const waiting = and(eq(notices.channel, channel), eq(notices.group, notice.group), eq(notices.state, 'waiting'));
  const older = tx.select().from(notices).where(waiting).all();
  for (const { id, state } of older) {
    tx.update(notices)
      .set({ state: noticeStates.move(state, 'superseded'), endedAt: now })
      .where(eq(notices.id, id))
      .run();
  }
  const known = new Set(notice.alerts.map(({ id }) => id));
  const left = older.flatMap((row) => row.notice.alerts).filter(({ id }) => !known.has(id) && known.add(id));
  const all = [...notice.alerts, ...left];
  const whole = {
    ...notice,
    alerts: all.slice(0, mostListed),
    more: notice.more + Math.max(0, all.length - mostListed),
  };
  // As late as the oldest: what a channel owes is owed since then.
  const createdAt = Math.min(now, ...older.map((row) => row.createdAt));
  const attempts = Math.max(0, ...older.map((row) => row.attempts));
  const tried = older.find((row) => row.error !== null);
  tx.insert(notices)
    .values({
      id: newId(now),
      channel,
      group: notice.group,
      state: noticeStates.initial,
      notice: whole,
      createdAt,
      attempts,
      nextAttemptAt: Math.max(now, ...older.map((row) => row.nextAttemptAt)),
      error: tried?.error ?? null,
    })
    .run();
}
