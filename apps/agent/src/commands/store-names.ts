import { storesOf, type AgentConfiguration, type DatabaseConfiguration } from '../configuration/index.ts';
import { AgentError } from '../errors.ts';
import { storeIdOfPlace } from '../stores/reachable-stores.ts';

/**
 * Local names of a database's stores.
 * @param storeIds left out: all, which is what undefined means to whoever opens them
 * @throws AgentError `StoreUnknown`
 */
export function storeNamesOf(
  configuration: AgentConfiguration,
  database: DatabaseConfiguration,
  storeIds: readonly string[] | undefined,
): string[] | undefined {
  const placed = storesOf(configuration, database);
  return storeIds?.map((storeId) => {
    const found = placed.find((store) => storeIdOfPlace(store) === storeId);
    if (found) return found.name;
    throw new AgentError(
      'StoreUnknown',
      `${database.name} has no store ${storeId} on this host.`,
      `It has ${placed.map((store) => `${store.name} (${storeIdOfPlace(store)})`).join(', ')}.`,
    );
  });
}
