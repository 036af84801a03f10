/**
 * A stream that tells its owner once when it is over: read to its end, failed, left early, or closed unread. A generator
 * alone does not tell the last: `return()` before its first `next()` ends it without its `finally`.
 * @param ended is awaited before the reader hears of the end
 */
export function tellingEnd(
  chunks: AsyncIterator<Uint8Array>,
  ended: () => void | Promise<void>,
): AsyncIterableIterator<Uint8Array, undefined> {
  let open = true;
  const end = async (): Promise<void> => {
    if (!open) return;
    open = false;
    await ended();
  };
  return {
    async next() {
      try {
        const next = await chunks.next();
        if (next.done !== true) return next;
      } catch (error) {
        await end();
        throw error;
      }
      await end();
      return { done: true, value: undefined };
    },
    async return() {
      try {
        await chunks.return?.();
      } finally {
        await end();
      }
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/** Lets go of a stream that nobody reads, with the connection or the turn that it holds. */
export async function close(chunks: AsyncIterable<Uint8Array>): Promise<void> {
  await chunks[Symbol.asyncIterator]().return?.();
}
