import { isOpen } from '../runs/open-states.ts';
import type { ApiContext } from './context.ts';
import { runOf, type Run } from './run-view.ts';

/**
 * A run as it is now, and again whenever it has changed, until it has ended. Changes that follow each other faster than
 * they are taken are told as one.
 * @param gone aborts when nobody listens any more
 * @throws ControlPlaneError `KeyInvalid` once the key of whoever listens is revoked or has expired
 */
export async function* followRun(
  { parts, askAgain }: Pick<ApiContext, 'parts' | 'askAgain'>,
  runId: string,
  gone: AbortSignal,
): AsyncGenerator<Run, void, undefined> {
  const signal = AbortSignal.any([gone, parts.stopping]);
  let said = '';
  for await (const _ of parts.liveRuns.changes(runId, signal)) {
    const { refusal } = askAgain();
    if (refusal !== undefined) throw refusal;
    const run = runOf(parts, runId);
    const text = JSON.stringify(run);
    if (text !== said) yield run;
    said = text;
    if (!isOpen(run.state)) return;
  }
}
