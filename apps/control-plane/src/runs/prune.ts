import { and, inArray, lt } from 'drizzle-orm';
import type { Catalog } from '../catalog/open-catalog.ts';
import { alerts, enrolTokens, idempotencyKeys, notices, pins, reports } from '../catalog/schema.ts';
import { keepIdempotencyKeysMs } from './once.ts';

const dayMs = 24 * 60 * 60_000;

/** How long report ids are known: agents send none again that is older than 30 days, and a clock may be off. */
const keepReportsMs = 60 * dayMs;

/** How long a token that nobody can use any more is kept, for whoever asks what became of it. */
const keepTokensMs = 30 * dayMs;

/** How long it is known what was wrong, and what was told of it. */
const keepAlertsMs = 400 * dayMs;
const keepNoticesMs = 30 * dayMs;

/** Takes out what nobody needs any more. */
export function prune({ catalog, now }: { catalog: Catalog; now: () => number }): void {
  const at = now();
  catalog.transaction(
    (tx) => {
      tx.delete(idempotencyKeys)
        .where(lt(idempotencyKeys.createdAt, at - keepIdempotencyKeysMs))
        .run();
      tx.delete(reports)
        // Both, so that the index is of use.
        .where(and(inArray(reports.answer, ['accepted', 'rejected']), lt(reports.receivedAt, at - keepReportsMs)))
        .run();
      tx.delete(alerts)
        .where(lt(alerts.resolvedAt, at - keepAlertsMs))
        .run();
      tx.delete(notices)
        .where(lt(notices.endedAt, at - keepNoticesMs))
        .run();
      // It has ended; the audit has it.
      tx.delete(pins).where(lt(pins.until, at)).run();
      tx.delete(enrolTokens)
        .where(lt(enrolTokens.expiresAt, at - keepTokensMs))
        .run();
    },
    { behavior: 'immediate' },
  );
}
