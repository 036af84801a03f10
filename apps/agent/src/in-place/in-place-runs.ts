import type { Journal, Run } from '../journal/journal.ts';
import type { InPlace } from '../journal/schema.ts';

/** A run that gave one database the name of another. */
export interface InPlaceRunRow extends Run {
  detail: Run['detail'] & { inPlace: InPlace; scratchOid: number };
}

/** More than anybody keeps databases of. */
const mostRuns = 1000;

/** Restores in place, and what took them back, as far as they came to a swap at all. Newest first. */
export function inPlaceRuns(journal: Journal, databaseId: string): InPlaceRunRow[] {
  return journal.recent(databaseId, 'restore', mostRuns).filter(isInPlace);
}

export function isInPlace(run: Run): run is InPlaceRunRow {
  return run.detail.inPlace !== undefined && run.detail.scratchOid !== undefined;
}
