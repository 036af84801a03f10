/** How long something may take that cannot be ended itself. */
export interface Limits {
  limitMs?: number;
  /** What is thrown once the limit has passed. */
  late?: () => Error;
  signal?: AbortSignal;
}

/**
 * Waits for work no longer than the limit, nor beyond an abort. The work itself may go on, since nothing ends it: a
 * call into a dead mount, a connection being made.
 * @throws what the work throws, `late()`, or the signal's reason
 */
export async function within<T>(work: Promise<T>, { limitMs, late, signal }: Limits): Promise<T> {
  const cut = Promise.withResolvers<never>();
  const interrupted = () => cut.reject(signal?.reason as Error);
  const timer = limitMs === undefined ? undefined : setTimeout(() => cut.reject(late?.()), limitMs);
  if (signal?.aborted) interrupted();
  else signal?.addEventListener('abort', interrupted, { once: true });
  try {
    return await Promise.race([work, cut.promise]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', interrupted);
  }
}
