import type { Journal, Run } from '../journal/journal.ts';
import { identityOf, livesHere } from '../journal/process-identity.ts';
import { endGroup } from './run-hook.ts';

/** Of a hook's run: writes down the process that leads its group, which outlives an agent that is killed. */
export function notingIn(journal: Journal, runId: string): (pid: number | undefined) => void {
  return (pid) => {
    try {
      journal.describe(runId, { hook: pid === undefined ? null : identityOf(pid) });
    } catch {
      // It is run all the same; the outcome will not be written either then, and says why.
    }
  };
}

/** Ends a hook that has outlived its agent: what it still does would come after what is done now. */
export async function endLeftHook({ detail: { hook } }: Run): Promise<void> {
  if (hook && livesHere(hook)) await endGroup(hook.pid, () => livesHere(hook));
}
