/** Cuts a stream of chunks of any size into parts of given sizes, copying each byte once. */
export class PartFiller {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(chunks: AsyncIterator<Uint8Array>) {
    this.#chunks = chunks;
  }

  /** Fills `part` and returns how many bytes it got: fewer than it holds only once the stream has ended. */
  async fill(part: Uint8Array): Promise<number> {
    let filled = 0;
    while (filled < part.length) {
      if (this.#rest.length === 0) {
        const next = await this.#chunks.next();
        if (next.done === true) break;
        this.#rest = next.value;
        continue;
      }
      const piece = this.#rest.subarray(0, part.length - filled);
      part.set(piece, filled);
      filled += piece.length;
      this.#rest = this.#rest.subarray(piece.length);
    }
    return filled;
  }
}
