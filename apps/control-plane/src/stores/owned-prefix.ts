import { fixedNames, mostPrefixOwnerBytes, parsePrefixOwner } from '@strideiq/core';
import { readAll, type Store } from '@strideiq/storage';

/** An agent says where a bucket is; that it is its database's is for the bucket to say. */
export async function isOwnedBy(store: Store, databaseId: string): Promise<boolean> {
  if (!(await store.head(fixedNames.owner))) return false;
  const owner = parsePrefixOwner(await readAll(await store.get(fixedNames.owner), mostPrefixOwnerBytes));
  return owner?.databaseId === databaseId;
}
