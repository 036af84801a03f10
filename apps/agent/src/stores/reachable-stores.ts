import { storeIdOf } from '@strideiq/core';
import { s3LocationOf } from '@strideiq/storage';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { placeStore, type AgentConfiguration, type PlacedStore } from '../configuration/index.ts';

/** The id of the store at a place, without opening it. */
export function storeIdOfPlace(placed: PlacedStore): string {
  if (placed.type === 'directory')
    return storeIdOf({ type: 'directory', host: hostname(), path: resolve(placed.path) });
  const { bucket, prefix, endpoint } = placed;
  return storeIdOf(s3LocationOf({ bucket, prefix, ...(endpoint === undefined ? {} : { endpoint }) }));
}

/**
 * Every place that the host's file names, by its id: each store as each of the databases would use it, also those that
 * none of them backs up to.
 */
export function reachableStores({ stores, databases, environment }: AgentConfiguration): Map<string, PlacedStore> {
  const places = new Map<string, PlacedStore>();
  for (const [name, store] of Object.entries(stores)) {
    for (const database of Object.keys(databases)) {
      const placed = placeStore(name, store, environment, database);
      places.set(storeIdOfPlace(placed), placed);
    }
  }
  return places;
}
