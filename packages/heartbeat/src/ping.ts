/** One word to a dead man's switch. */
export interface Ping {
  /** What it says; left out: all is well. */
  kind?: 'start' | 'fail';
  /** Ties the end of a run to its start, so that the service tells how long it took; a UUID. */
  runId?: string;
  /** What people are to read beside it. */
  text?: string;
}

const limitMs = 10_000;

/** As much as healthchecks.io keeps of a body, in bytes (https://healthchecks.io/docs/attaching_logs/). */
const mostTextBytes = 100_000;

/**
 * Says it in the convention of healthchecks.io (https://healthchecks.io/docs/http_api/): a POST to the URL, or to `/start` or
 * `/fail` below it, with `rid` for the run.
 * @throws Error where it did not arrive
 */
export async function ping(url: URL, { kind, runId, text = '' }: Ping, signal: AbortSignal): Promise<void> {
  const to = new URL(url);
  if (kind !== undefined) to.pathname = `${to.pathname.replace(/\/+$/, '')}/${kind}`;
  if (runId !== undefined) to.searchParams.set('rid', runId);
  const answer = await fetch(to, {
    method: 'POST',
    body: Buffer.from(text).subarray(0, mostTextBytes),
    headers: { 'user-agent': 'StrideIQ-Backup', 'content-type': 'text/plain; charset=utf-8' },
    // Whoever it was given to is the only one to know it.
    redirect: 'manual',
    signal: AbortSignal.any([signal, AbortSignal.timeout(limitMs)]),
  });
  await answer.body?.cancel();
  if (!answer.ok) throw new Error(`it answered ${answer.status}`);
}
