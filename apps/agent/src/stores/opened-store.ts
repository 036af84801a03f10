import type { Store } from '@strideiq/storage';

/** A store as the host's file names it. */
export interface OpenedStore {
  /** Local name: `local`, `s3`. */
  name: string;
  kind: 'directory' | 's3';
  store: Store;
}

/** All bytes of a small object. */
export async function readAll(source: AsyncIterable<Uint8Array>, limitBytes = 1 << 30): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of source) {
    bytes += piece.length;
    if (bytes > limitBytes) throw new RangeError(`more than ${limitBytes} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

/** A buffer as a store takes it. */
export async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
