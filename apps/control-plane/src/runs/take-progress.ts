import type { ProgressMessage } from '@strideiq/protocol';
import { and, eq, inArray } from 'drizzle-orm';
import type { Catalog } from '../catalog/open-catalog.ts';
import { runs } from '../catalog/schema.ts';
import type { LiveRuns } from './live-runs.ts';
import { openRunStates } from './open-states.ts';

/** How far an agent's runs are; what is said of any other, or of one that has ended, is ignored. */
export function takeProgress(
  { catalog, now, liveRuns }: { catalog: Catalog; now: () => number; liveRuns: LiveRuns },
  agentId: string,
  { runs: said }: ProgressMessage,
): void {
  const ids = said.map(({ runId }) => runId);
  const own = catalog
    .select({ id: runs.id })
    .from(runs)
    .where(and(inArray(runs.id, ids), eq(runs.agentId, agentId), inArray(runs.state, [...openRunStates])))
    .all();
  const ownIds = new Set(own.map(({ id }) => id));
  for (const progress of said) if (ownIds.has(progress.runId)) liveRuns.setProgress(progress, now());
}
