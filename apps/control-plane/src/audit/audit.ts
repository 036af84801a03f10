import { desc } from 'drizzle-orm';
import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { Catalog, CatalogTransaction } from '../catalog/open-catalog.ts';
import { audit } from '../catalog/schema.ts';

/** One thing that somebody did, or was refused. */
export interface AuditEntry {
  /** An API key's id, `agent:ID`, or `local` for the server's own command line. */
  actor: string;
  /** `restore.request`, `key.create`, `access.refused` … */
  action: string;
  environment?: string;
  /** What it was done to, by id. */
  subject?: string;
  /** No secrets: it is shown to everyone who may read the audit. */
  detail?: Record<string, unknown>;
}

/** What stands before the first entry. */
const beginning = '0'.repeat(64);

type Row = typeof audit.$inferSelect;

/**
 * Writes an entry in the transaction of what it tells, so that there is never one without the other. Entries are chained:
 * who changes or takes out one must write all that follow anew, which a copy of the last hash shows.
 */
export function recordAudit(tx: CatalogTransaction, entry: AuditEntry, now: number): void {
  const last = tx.select().from(audit).orderBy(desc(audit.seq)).limit(1).get();
  const row = {
    seq: (last?.seq ?? 0) + 1,
    at: now,
    actor: entry.actor,
    action: entry.action,
    environment: entry.environment ?? null,
    subject: entry.subject ?? null,
    detail: entry.detail ?? {},
    previousHash: last?.hash ?? beginning,
  };
  tx.insert(audit)
    .values({ ...row, hash: hashOf(row) })
    .run();
}

/**
 * Where the chain is broken: the seq of the first entry that was changed, or whose predecessor was; undefined where it
 * holds. Lets others have their turn between pages: a reader of SQLite holds up everyone.
 */
export async function brokenAuditEntry(catalog: Catalog): Promise<number | undefined> {
  let previous: Pick<Row, 'seq' | 'hash'> = { seq: 0, hash: beginning };
  const pageSize = 1000;
  for (;;) {
    const page = catalog.query.audit
      .findMany({ where: (row, { gt }) => gt(row.seq, previous.seq), orderBy: (row) => row.seq, limit: pageSize })
      .sync();
    for (const row of page) {
      if (row.seq !== previous.seq + 1 || row.previousHash !== previous.hash || row.hash !== hashOf(row))
        return row.seq;
      previous = row;
    }
    if (page.length < pageSize) return undefined;
    await setImmediate();
  }
}

function hashOf({ seq, at, actor, action, environment, subject, detail, previousHash }: Omit<Row, 'hash'>): string {
  const text = JSON.stringify([seq, at, actor, action, environment, subject, JSON.stringify(detail), previousHash]);
  return createHash('sha256').update(text).digest('hex');
}
