/** The bytes as a source of pieces that end at the given places. */
export async function* piecesOf(bytes: Uint8Array, ends: readonly number[] = []): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (const end of [...ends].sort((a, b) => a - b)) {
    // Each piece in memory of its own that is spoilt afterwards, as a source may use its buffer again.
    const piece = Uint8Array.from(bytes.subarray(at, end));
    yield piece;
    piece.fill(0x3b);
    at = Math.max(at, end);
  }
  yield bytes.subarray(at);
}

/** The bytes in pieces of one size. */
export function evenPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  return piecesOf(
    bytes,
    Array.from({ length: Math.floor(bytes.length / size) }, (_, at) => (at + 1) * size),
  );
}

/** Everything that a source yields, as one buffer. */
export async function gather(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source) pieces.push(Uint8Array.from(piece));
  return Buffer.concat(pieces);
}
