import { eq } from 'drizzle-orm';
import type { AgentConnections } from '../agents/agent-connections.ts';
import type { Catalog } from '../catalog/open-catalog.ts';
import { agents, databases, stores } from '../catalog/schema.ts';
import { namesOf, type BackupCopy, type CatalogReader } from './backup-copies.ts';
import type { OpenOwnStore } from './own-stores.ts';

type DatabaseRow = typeof databases.$inferSelect;

/** The stores of a database that the control plane can read by credentials of its own. */
export async function ownStoreIdsOf(
  { catalog, openOwnStore }: { catalog: Catalog; openOwnStore: OpenOwnStore },
  databaseId: string | undefined,
): Promise<Set<string>> {
  const found = new Set<string>();
  if (databaseId === undefined) return found;
  for (const store of catalog.select().from(stores).where(eq(stores.databaseId, databaseId)).all()) {
    if (store.type !== 's3' || store.s3 === null) continue;
    if ((await openOwnStore(store))?.presign !== undefined) found.add(store.id);
  }
  return found;
}

/** Why the agent that looks after a database cannot be asked for URLs; undefined where it can. */
export function whyNoPresign(
  tx: CatalogReader,
  connections: Pick<AgentConnections, 'isConnected'>,
  { agentId, allow, name }: DatabaseRow,
): string | undefined {
  const agent = tx.select().from(agents).where(eq(agents.id, agentId)).get();
  const host = agent?.hostname ?? agentId;
  if (!allow.includes('presign')) return `its host ${host} does not allow presign on ${name}`;
  if (agent?.commandKinds.includes('presign') !== true) return `the agent on its host ${host} does not know presign`;
  return connections.isConnected(agentId) ? undefined : `the agent on its host ${host} is not connected`;
}

/** Why nobody could give URLs for a copy; undefined where somebody could. */
export function whyNoUrl(found: BackupCopy, { database, ownStoreIds, whyNotByAgent }: UrlMakers): string | undefined {
  const { store } = found;
  if (store.type !== 's3') return 'it is on the disk of its host alone';
  if (!namesOf(found, database.name)) return `its key ${found.copy.key} is no dump of ${database.name}`;
  if (ownStoreIds.has(store.id) || whyNotByAgent === undefined) return undefined;
  return `the control plane has no credentials for it, and ${whyNotByAgent}`;
}

/** Who could give URLs for the copies of a database's backups. */
export interface UrlMakers {
  database: DatabaseRow;
  ownStoreIds: ReadonlySet<string>;
  whyNotByAgent: string | undefined;
}
