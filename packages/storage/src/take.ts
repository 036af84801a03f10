import { setTimeout as sleep } from 'node:timers/promises';

/**
 * The chunks of `source` until it ends, it throws, or `signal` aborts; an abort is noticed also while the source is
 * silent. Leaving early tells the source to end, without waiting for one that is stuck in its own wait.
 *
 * Not `events.on` or `Promise.race` against one long-lived promise: each chunk would leave a reaction behind, and a
 * backup has millions of chunks.
 * @throws the signal's reason, or what the source threw
 */
export async function* takeFrom(source: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  signal.throwIfAborted();
  const chunks = source[Symbol.asyncIterator]();
  let open = true;
  try {
    for (;;) {
      const next = await orAborted(chunks.next(), signal);
      if (next.done === true) {
        open = false;
        return;
      }
      yield next.value;
    }
  } catch (error) {
    if (!signal.aborted) open = false;
    throw error;
  } finally {
    // Its answer may never come, and its failure says nothing that the caller does not know already.
    if (open) void Promise.resolve(chunks.return?.()).catch(() => undefined);
  }
}

/** What `promise` gives, or the signal's reason as soon as it aborts; leaves no listener behind. */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return await new Promise<T>((resolve, reject) => {
    const onAbort = (): void => {
      reject(signal.reason as Error);
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    void promise.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', onAbort);
    });
  });
}

/** A signal that never aborts, where the caller gave none. */
export function signalOr(signal: AbortSignal | undefined): AbortSignal {
  return signal ?? new AbortController().signal;
}

/**
 * Waits; not at all where `ms` is not above 0.
 * @throws the signal's reason as soon as it aborts
 */
export async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  if (ms <= 0) return;
  await sleep(ms, undefined, signal ? { signal } : {}).catch((error: unknown) => {
    signal?.throwIfAborted();
    throw error;
  });
}
