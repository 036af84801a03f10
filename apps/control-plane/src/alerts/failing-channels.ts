import { and, desc, eq, inArray } from 'drizzle-orm';
import { notices } from '../catalog/schema.ts';
import type { CatalogReader } from '../copies/backup-copies.ts';

/** What has waited for so long is not just a moment's trouble of the network. */
const waitsMs = 5 * 60_000;
const mostLooked = 50;

/**
 * Channels whose last message did not arrive, and why: one that is tried again and again, or that was given up. What has
 * arrived since says that it is well.
 */
export function failingChannels(tx: CatalogReader, now: number): Map<string, string> {
  const names = tx.selectDistinct({ channel: notices.channel }).from(notices).all();
  const failing = new Map<string, string>();
  for (const { channel } of names) {
    const tried = and(eq(notices.channel, channel), inArray(notices.state, ['waiting', 'sent', 'failed']));
    const last = tx
      .select()
      .from(notices)
      .where(tried)
      .orderBy(desc(notices.createdAt), desc(notices.id))
      .limit(mostLooked)
      .all();
    const problem = problemOf(last, now);
    if (problem !== undefined) failing.set(channel, problem);
  }
  return failing;
}

type NoticeRow = typeof notices.$inferSelect;

/** @param newest first */
function problemOf(newest: readonly NoticeRow[], now: number): string | undefined {
  const sentAt = Math.max(...newest.map(({ state, endedAt }) => (state === 'sent' ? (endedAt ?? 0) : 0)), 0);
  const since = newest.filter(({ attempts, endedAt }) => attempts > 0 && (endedAt ?? now) > sentAt);
  const bad = since.find(
    ({ state, createdAt, error }) => state === 'failed' || (error !== null && now - createdAt >= waitsMs),
  );
  return (
    bad && `a message of ${new Date(bad.createdAt).toISOString()} did not arrive: ${bad.error ?? 'no reason given'}`
  );
}
