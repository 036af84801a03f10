import type { RestoreSource } from '@strideiq/protocol';
import { copiesOf, isReadable, type BackupCopy, type CatalogReader } from '../copies/backup-copies.ts';
import { whyNoUrl, type UrlMakers } from '../copies/presigning.ts';
import { ControlPlaneError } from '../errors.ts';

export interface ChosenSource {
  source: RestoreSource;
  storeId: string;
}

/**
 * Which copy a target reads, and how: by a store that its own file names, else by URLs that somebody can give it. Of those
 * that are alike, one that was read back comes first.
 * @throws ControlPlaneError `CopyUnreachable`, naming each copy and why it is out of reach
 */
export function chooseSource(
  tx: CatalogReader,
  backupId: string,
  target: { hostname: string; reachableStoreIds: readonly string[] },
  makers: UrlMakers,
): ChosenSource {
  const all = copiesOf(tx, backupId);
  const readable = all.filter(isReadable);
  const near = readable.find(({ store }) => target.reachableStoreIds.includes(store.id));
  if (near) {
    const { key, storeId } = near.copy;
    return { source: { via: 'store', storeId, key }, storeId };
  }
  const far = readable.find((found) => whyNoUrl(found, makers) === undefined);
  if (far) {
    const { key, storeId } = far.copy;
    return { source: { via: 'url', key }, storeId };
  }
  throw copyUnreachable(backupId, target.hostname, all, makers);
}

function copyUnreachable(
  backupId: string,
  hostname: string,
  all: readonly BackupCopy[],
  makers: UrlMakers,
): ControlPlaneError {
  const each = all.map((found) => {
    const why = isReadable(found) ? whyNoUrl(found, makers) : `it is ${found.copy.state}`;
    return `${found.store.location}${found.copy.key} (${why})`;
  });
  return new ControlPlaneError(
    'CopyUnreachable',
    `The agent on ${hostname} reaches no copy of the backup ${backupId}. ${each.length === 0 ? 'There is none.' : `There are: ${each.join('; ')}.`}`,
    'Name a store that holds one in agent.yaml on the target, or give the control plane credentials for the bucket, or have the source agent connected with presign in its `allow`.',
  );
}
