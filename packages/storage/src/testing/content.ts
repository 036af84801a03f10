import { createCipheriv, createHash } from 'node:crypto';

/** Bytes that are the same for the same seed, differ everywhere, and do not compress. */
export function contentOf(sizeBytes: number, seed = 1): Buffer {
  const key = Buffer.alloc(16, seed);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(sizeBytes));
}

/** Yields `content` in chunks, one at a time. */
export async function* chunksOf(content: Uint8Array, chunkBytes = 64 * 1024): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < content.length; at += chunkBytes) {
    // As streams do: not in the same turn of the event loop.
    yield await Promise.resolve(content.subarray(at, at + chunkBytes));
  }
}

/** Everything that an iterable yields. */
export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await all(chunks));
}

/** For comparing tens of megabytes: a failed comparison of buffers would print them. */
export function sha256Of(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}
