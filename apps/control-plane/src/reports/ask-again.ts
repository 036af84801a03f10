import { and, eq } from 'drizzle-orm';
import type { CatalogTransaction } from '../catalog/open-catalog.ts';
import { journals, reports } from '../catalog/schema.ts';

/**
 * What an agent told of a database before that was its own was rejected, and is good now: its next hello asks for all that
 * it keeps, and what was taken before is known by its ids.
 */
export function askAgain(tx: CatalogTransaction, agentId: string): void {
  const notOwned = and(eq(reports.agentId, agentId), eq(reports.answer, 'rejected'), eq(reports.code, 'NotOwner'));
  tx.delete(reports).where(notOwned).run();
  tx.delete(journals).where(eq(journals.agentId, agentId)).run();
}
