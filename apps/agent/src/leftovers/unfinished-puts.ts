import { fixedNames, paragraphOf, parseBackupName } from '@strideiq/core';
import type { Run } from '../journal/journal.ts';
import type { OpenedStore } from '../stores/opened-store.ts';

/** What is put beside the backups; a run that was killed at any point may have been putting one of them. */
const besideBackups = new Set<string>(Object.values(fixedNames));

/**
 * Discards temporary files and multipart uploads of these runs, in every store. A prefix holds one database, and the
 * server lets one backup of it run at a time; so what is unfinished under the runs' names is theirs.
 * @returns by the name of each store that could not be cleared, why
 */
export async function discardUnfinished(
  stores: readonly OpenedStore[],
  killed: readonly Run[],
  ended: readonly Run[],
): Promise<Map<string, string>> {
  const problems = new Map<string, string>();
  const someKilled = killed.some((run) => run.kind === 'backup');
  await Promise.all(
    stores.map(async ({ name, store }) => {
      const stems = [...killed, ...ended].flatMap((run) => stemsIn(run, store.storeId));
      if (stems.length === 0 && !someKilled) return;
      try {
        for await (const left of store.unfinished()) {
          const isBeside = someKilled && besideBackups.has(left.key);
          if (isBeside || stems.some((stem) => left.key.startsWith(`${stem}.`))) await left.discard();
        }
      } catch (error) {
        problems.set(name, paragraphOf(error));
      }
    }),
  );
  return problems;
}

function stemsIn(run: Run, storeId: string): string[] {
  const copies = (run.detail.copies ?? []).filter((copy) => copy.storeId === storeId);
  return copies.flatMap((copy) => parseBackupName(copy.dumpKey)?.names.stem ?? []);
}
