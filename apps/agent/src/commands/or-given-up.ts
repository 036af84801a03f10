/**
 * Waits for work to end; once it is told to, no longer than it should take: what hangs in a dead mount never ends.
 * @param mayGoOn whether it is at something that ends by itself and must not be left
 * @throws what the work throws; the signal's reason where it is given up
 */
export async function orGivenUp<T>(
  work: Promise<T>,
  signal: AbortSignal,
  limitMs: number,
  mayGoOn: () => boolean = () => false,
): Promise<T> {
  const givenUp = Promise.withResolvers<never>();
  let timer: NodeJS.Timeout | undefined;
  const onAbort = () => {
    timer = setTimeout(() => {
      if (mayGoOn()) onAbort();
      else givenUp.reject(signal.reason as Error);
    }, limitMs);
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, givenUp.promise]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}
