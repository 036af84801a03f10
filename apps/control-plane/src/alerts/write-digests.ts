import { DueMoments, durationText, newId } from '@strideiq/core';
import { and, asc, count, eq, inArray, max } from 'drizzle-orm';
import type { CatalogTransaction } from '../catalog/open-catalog.ts';
import { backups, copies, databases, digests, stores } from '../catalog/schema.ts';
import type { Notice } from '../channels/notice.ts';
import type { Channel } from '../channels/open-channel.ts';
import type { CatalogReader } from '../copies/backup-copies.ts';
import { goodDrillOf } from '../drills/good-drill.ts';
import { newestBackup } from '../restores/choose-backup.ts';
import { openAlerts } from './record-alerts.ts';
import { insertNotice, mostListed, noticeAlertOf } from './write-notices.ts';

type DigestChannel = Pick<Channel, 'name' | 'digest' | 'environments'>;

/** Makes the digests that have become due: of several that were missed one. */
export function writeDigests(
  tx: CatalogTransaction,
  { channels, publicUrl, now }: { channels: readonly DigestChannel[]; publicUrl: string | undefined; now: number },
): void {
  for (const { name, digest, environments } of channels) {
    if (!digest) continue;
    const seenAt = tx.select().from(digests).where(eq(digests.channel, name)).get()?.seenAt;
    const due = new DueMoments({ line: digest.schedule, timezone: digest.timezone }).until(now);
    // A channel that is new has missed none.
    const isDue = seenAt !== undefined && due !== undefined && due > seenAt;
    if (seenAt !== undefined && !isDue) continue;
    if (isDue) insertNotice(tx, name, digestOf(tx, { environments, publicUrl, now }), now);
    tx.insert(digests)
      .values({ channel: name, seenAt: now })
      .onConflictDoUpdate({ target: digests.channel, set: { seenAt: now } })
      .run();
  }
}

const head = ['DATABASE', 'LAST BACKUP', 'LAST READ BACK', 'LAST DRILL', 'COPIES KEPT'];

/** A proof, database by database, that silence means that it works. */
function digestOf(
  tx: CatalogReader,
  {
    environments,
    publicUrl,
    now,
  }: { environments: readonly string[] | null; publicUrl: string | undefined; now: number },
): Notice {
  const isShown = ({ environment }: { environment: string | null }) =>
    environment === null || (environments?.includes(environment) ?? true);
  const all = tx
    .select()
    .from(databases)
    .where(and(eq(databases.declared, true), eq(databases.gone, false)))
    .orderBy(asc(databases.environment), asc(databases.name))
    .all();
  const rows = all.filter(isShown).map((row) => rowOf(tx, row, now));
  const open = openAlerts(tx).filter(isShown);
  return {
    id: newId(now),
    group: 'digest',
    kind: 'digest',
    severity: 'info',
    environment: null,
    rule: null,
    title: `Backups of ${rows.length} databases: ${open.length === 0 ? 'all is well' : `${open.length} alerts are open`}`,
    meaning: '',
    cure: '',
    alerts: open.slice(0, mostListed).map(noticeAlertOf),
    more: Math.max(0, open.length - mostListed),
    table: { head, rows },
    link: publicUrl ?? null,
    at: now,
  };
}

function rowOf(tx: CatalogReader, row: typeof databases.$inferSelect, now: number): string[] {
  const ago = (at: number | null | undefined) => (at == null ? 'never' : `${durationText(now - at, 0)} ago`);
  const newest = newestBackup(tx, row.id, now);
  const [verified] = tx
    .select({ at: max(copies.verifiedAt) })
    .from(copies)
    .innerJoin(backups, eq(backups.id, copies.backupId))
    .where(eq(backups.databaseId, row.id))
    .all();
  const kept = tx
    .select({ name: stores.name, copies: count() })
    .from(copies)
    .innerJoin(stores, eq(stores.id, copies.storeId))
    .where(and(eq(stores.databaseId, row.id), inArray(copies.state, ['stored', 'verified', 'locked'])))
    .groupBy(stores.id)
    .orderBy(asc(stores.name))
    .all();
  const counted = kept.map(({ name, copies: number }) => `${number} in ${name}`).join(', ') || 'none';
  const drill = goodDrillOf(tx, row.id);
  return [
    `${row.environment}/${row.name}`,
    ago(newest?.hostFinishedAt),
    ago(verified?.at),
    ago(drill?.hostFinishedAt ?? drill?.endedAt),
    counted,
  ];
}
