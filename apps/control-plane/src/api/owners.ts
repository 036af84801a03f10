import { eq } from 'drizzle-orm';
import type { Catalog } from '../catalog/open-catalog.ts';
import { agents, alerts, backups, databases, keys, runs } from '../catalog/schema.ts';
import { ControlPlaneError } from '../errors.ts';

/** Which environment a thing belongs to, told by the thing itself: what procedures that are about one are guarded by. */

/** @throws ControlPlaneError `NotFound` */
export function environmentsOfAgent(catalog: Catalog, agentId: string): [string] {
  const row = catalog.select({ name: agents.environment }).from(agents).where(eq(agents.id, agentId)).get();
  return [row?.name ?? missing('agent', agentId)];
}

/** @throws ControlPlaneError `NotFound` */
export function environmentsOfDatabase(catalog: Catalog, databaseId: string): [string] {
  const row = catalog.select({ name: databases.environment }).from(databases).where(eq(databases.id, databaseId)).get();
  return [row?.name ?? missing('database', databaseId)];
}

/** @throws ControlPlaneError `NotFound` */
export function environmentsOfBackup(catalog: Catalog, backupId: string): [string] {
  const row = catalog
    .select({ name: databases.environment })
    .from(backups)
    .innerJoin(databases, eq(databases.id, backups.databaseId))
    .where(eq(backups.id, backupId))
    .get();
  return [row?.name ?? missing('backup', backupId)];
}

/** @throws ControlPlaneError `NotFound` */
export function environmentsOfRun(catalog: Catalog, runId: string): [string] {
  const row = catalog
    .select({ name: databases.environment })
    .from(runs)
    .innerJoin(databases, eq(databases.id, runs.databaseId))
    .where(eq(runs.id, runId))
    .get();
  return [row?.name ?? missing('run', runId)];
}

/** What somebody must reach to change a key. @throws ControlPlaneError `NotFound` */
export function reachOfKey(catalog: Catalog, keyId: string): readonly string[] | 'all' {
  const row = catalog.select({ names: keys.environments }).from(keys).where(eq(keys.id, keyId)).get();
  return (row ?? missing('key', keyId)).names ?? 'all';
}

/** Those of the control plane itself are for whoever reaches all. @throws ControlPlaneError `NotFound` */
export function reachOfAlert(catalog: Catalog, alertId: string): readonly string[] | 'all' {
  const row = catalog.select({ name: alerts.environment }).from(alerts).where(eq(alerts.id, alertId)).get();
  const { name } = row ?? missing('alert', alertId);
  return name === null ? 'all' : [name];
}

/** @throws ControlPlaneError `NotFound` */
export function missing(kind: 'agent' | 'alert' | 'database' | 'backup' | 'run' | 'key' | 'policy', id: string): never {
  if (kind === 'policy') {
    const cure = 'It comes with the first hello of its agent, or by POST /api/v1/databases/{databaseId}/policy.';
    throw new ControlPlaneError('NotFound', `No policy is kept of the database ${id}.`, cure);
  }
  throw new ControlPlaneError('NotFound', `There is no ${kind} ${id}.`, `GET /api/v1/${kind}s lists them.`);
}
