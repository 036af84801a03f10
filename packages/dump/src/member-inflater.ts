import { assertWithin, beginsMember, gunzip, padded } from './gunzip.ts';
import { systemLibdeflate, type DecompressorHandle, type Inflated, type Libdeflate } from './libdeflate.ts';

/** Room for a member: twice what our own hold. */
const memberBytes = 1024 * 1024;

/**
 * Decompresses gzip files that stand in memory, a member at a time and the next one ahead: by libdeflate, which takes less
 * than half of zlib's time, where it is installed and knows what to do; by zlib, which says what is wrong, elsewhere.
 */
export class MemberInflater {
  readonly #library: Libdeflate | undefined;
  #handle: DecompressorHandle | undefined;
  /** What is being filled, and what was filled before. */
  #output = Buffer.alloc(0);
  #spare = Buffer.alloc(0);

  /** @param library left out: zlib does it all */
  constructor(library?: Libdeflate) {
    this.#library = library;
    this.#handle = library?.allocateDecompressor();
  }

  static async open(): Promise<MemberInflater> {
    return new MemberInflater(await systemLibdeflate());
  }

  /** Gives its memory back. No file may be under way. */
  close(): void {
    if (this.#handle !== undefined) this.#library?.freeDecompressor(this.#handle);
    this.#handle = undefined;
    this.#output = this.#spare = Buffer.alloc(0);
  }

  /**
   * One file; a piece is good until the next one is asked for.
   * @param file stays as it is meanwhile
   * @param mostBytes output beyond this is refused
   * @throws as `gunzip`
   */
  async *inflate(file: Uint8Array, mostBytes: number): AsyncGenerator<Buffer> {
    let next = this.#begin(file, mostBytes);
    try {
      for (let at = 0, bytes = 0; at < file.length || at === 0;) {
        const member = await next;
        if (!member) {
          const rest = file.subarray(at);
          if (at > 0 && !beginsMember(rest)) throw padded(at);
          yield* gunzip(inSlices(rest), { maxBytes: mostBytes - bytes, lasting: true });
          return;
        }
        at += member.taken;
        bytes += member.made;
        assertWithin(bytes, at, { maxBytes: mostBytes });
        const piece = this.#output.subarray(0, member.made);
        [this.#output, this.#spare] = [this.#spare, this.#output];
        next = at < file.length ? this.#begin(file.subarray(at), mostBytes) : undefined;
        yield piece;
      }
    } finally {
      // Until then its memory is in use.
      await next;
    }
  }

  /** The first member of these. */
  #begin(members: Uint8Array, mostBytes: number): Promise<Inflated | undefined> | undefined {
    if (!this.#library || this.#handle === undefined) return undefined;
    const room = Math.min(memberBytes, mostBytes + 1);
    if (this.#output.length < room) this.#output = Buffer.allocUnsafeSlow(room);
    return this.#library.decompress(this.#handle, members, this.#output).catch(() => undefined);
  }
}

/** Small enough that what is copied of it on its way is soon used again. */
const sliceBytes = 64 * 1024;

async function* inSlices(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += sliceBytes) yield bytes.subarray(at, at + sliceBytes);
}
