/**
 * All bytes of a small object.
 * @throws RangeError beyond `limitBytes`
 */
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
