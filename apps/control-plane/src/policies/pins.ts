import { and, count, eq, gt, inArray, isNull, ne, or } from 'drizzle-orm';
import { recordAudit } from '../audit/audit.ts';
import type { CatalogTransaction } from '../catalog/open-catalog.ts';
import { backups, copies, databases, pins } from '../catalog/schema.ts';
import { ControlPlaneError } from '../errors.ts';
import { commit, type News, type NewsParts } from '../runs/news.ts';
import { mostPins } from './deliver-policies.ts';

export interface NewPin {
  backupId: string;
  reason: string;
  /** Milliseconds since 1970; null: until it is taken off. */
  until: number | null;
  /** An API key's id. */
  actor: string;
}

/** States in which there is something to keep. */
const readable = ['stored', 'verified', 'locked', 'uploading'] as const;

function isInForce(now: number) {
  return or(isNull(pins.until), gt(pins.until, now));
}

type Parts = NewsParts & { now: () => number };

/**
 * Keeps a backup, whatever the policy says, in every store that has it; one that is pinned already has the new reason and end.
 * @throws ControlPlaneError `NotFound`, `InputInvalid`; `BackupNotRestorable` where there is nothing left to keep
 */
export function pinBackup(parts: Parts, { backupId, reason, until, actor }: NewPin): void {
  const now = parts.now();
  if (until !== null && until <= now) {
    throw new ControlPlaneError(
      'InputInvalid',
      `${new Date(until).toISOString()} is over.`,
      'Name a moment to come, or none.',
    );
  }
  commit(parts, (tx, news) => {
    const { databaseId, name } = about(tx, backupId);
    const held = tx
      .select()
      .from(copies)
      .where(and(eq(copies.backupId, backupId), inArray(copies.state, [...readable])))
      .get();
    if (!held) {
      const cure = '`strideiq backups` lists those that have one.';
      throw new ControlPlaneError('BackupNotRestorable', `No store holds a good copy of ${backupId} any more.`, cure);
    }
    const [others] = tx
      .select({ n: count() })
      .from(pins)
      .innerJoin(backups, eq(backups.id, pins.backupId))
      .where(and(eq(backups.databaseId, databaseId), ne(backups.id, backupId), isInForce(now)))
      .all();
    if ((others?.n ?? 0) >= mostPins) {
      throw new ControlPlaneError(
        'InputInvalid',
        `${mostPins} backups of ${name} are pinned already.`,
        'Take pins off that are not needed any more, or let the policy keep more.',
      );
    }
    const told = { reason, until, createdAt: now, createdBy: actor };
    tx.insert(pins)
      .values({ backupId, ...told })
      .onConflictDoUpdate({ target: pins.backupId, set: told })
      .run();
    tell(
      tx,
      news,
      {
        backupId,
        actor,
        action: 'backup.pin',
        detail: { reason, until: until === null ? null : new Date(until).toISOString() },
      },
      now,
    );
  });
}

/** Leaves a backup to the policy again; one that is not pinned is fine. @throws ControlPlaneError `NotFound` */
export function unpinBackup(parts: Parts, { backupId, actor }: { backupId: string; actor: string }): void {
  commit(parts, (tx, news) => {
    about(tx, backupId);
    if (tx.delete(pins).where(eq(pins.backupId, backupId)).run().changes === 0) return;
    tell(tx, news, { backupId, actor, action: 'backup.unpin', detail: {} }, parts.now());
  });
}

interface Told {
  backupId: string;
  actor: string;
  action: 'backup.pin' | 'backup.unpin';
  detail: Record<string, unknown>;
}

function tell(tx: CatalogTransaction, news: News, { backupId, actor, action, detail }: Told, now: number): void {
  const { environment, agentId } = about(tx, backupId);
  recordAudit(tx, { actor, action, environment, subject: backupId, detail }, now);
  news.toBeSent(agentId);
}

function about(tx: CatalogTransaction, backupId: string) {
  const found = tx
    .select({
      databaseId: databases.id,
      name: databases.name,
      environment: databases.environment,
      agentId: databases.agentId,
    })
    .from(backups)
    .innerJoin(databases, eq(databases.id, backups.databaseId))
    .where(eq(backups.id, backupId))
    .get();
  if (found) return found;
  throw new ControlPlaneError('NotFound', `There is no backup ${backupId}.`, 'GET /api/v1/backups lists them.');
}
