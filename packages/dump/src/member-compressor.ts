import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { DumpError } from './errors.ts';
import { systemLibdeflate, type CompressorHandle, type Libdeflate } from './libdeflate.ts';

const deflateByZlib = promisify(gzip);

/** A gzip member; once it is disposed of, what is made next may be written over its bytes. */
export interface Member extends Disposable {
  readonly bytes: Buffer;
}

/** Makes gzip members. The same input, level and compressor give the same bytes. */
export interface MemberCompressor {
  readonly name: 'libdeflate' | 'zlib';
  /**
   * One gzip member of one block, on libuv's thread pool.
   * @param block not to be written to until the promise has settled
   * @param level 0 to 9, as zlib counts: 0 only stores, 1 is fast, 9 is small
   */
  compress(block: Buffer, level: number): Promise<Member>;
}

let chosen: Promise<MemberCompressor> | undefined;

/** The fastest that this machine has: libdeflate where it is installed, zlib elsewhere. */
export async function memberCompressor(): Promise<MemberCompressor> {
  return (chosen ??= systemLibdeflate().then((library) => (library ? new LibdeflateCompressor(library) : zlib)));
}

/** {@link MemberCompressor.compress} by the fastest one. */
export async function compressMember(block: Buffer, level: number): Promise<Member> {
  return (await memberCompressor()).compress(block, level);
}

export const zlib: MemberCompressor = {
  name: 'zlib',
  compress: async (block, level) => ({
    // Output that fits into one buffer takes one trip to the thread pool; deflate never grows by more than this.
    bytes: await deflateByZlib(block, { level, chunkSize: block.length + (block.length >>> 8) + 256 }),
    [Symbol.dispose]: () => undefined,
  }),
};

/**
 * libdeflate's level for each of zlib's: the fastest one whose members are no larger than zlib's (measured on rows of the
 * sample database; docs/decisions/0004). From 5 on both count alike.
 */
const levels = [0, 1, 1, 1, 2, 5, 6, 7, 8, 9];

/** Unused for so long, compressors are given back: a daemon is idle most of the day. */
const idleLimitMs = 1000;

/**
 * A compressor object, of some 1 MB at most, and room for what it makes; for one block at a time. The room is used again:
 * bytes that come and go with each block would have V8 look through its whole heap every few of them.
 */
interface Press {
  handle: CompressorHandle;
  level: number;
  output: Buffer;
}

/** As many compressor objects as there are members in use at once; they are not for several threads. */
export class LibdeflateCompressor implements MemberCompressor {
  readonly name = 'libdeflate';
  readonly #library: Libdeflate;
  readonly #idle: Press[] = [];
  #idleTimer: NodeJS.Timeout | undefined;

  constructor(library: Libdeflate) {
    this.#library = library;
  }

  async compress(block: Buffer, level: number): Promise<Member> {
    const own = levels[level];
    // Versions before 1.9 cannot only store.
    if (own === undefined || own === 0) return zlib.compress(block, level);
    const press = this.#take(own, block.length);
    try {
      const length = await this.#library.compress(press.handle, block, press.output);
      if (length === 0) throw failed(`A block of ${block.length} bytes`);
      return this.#memberIn(press, length);
    } catch (error) {
      this.#giveBack(press);
      throw error;
    }
  }

  /** Given back once, however often it is disposed of: two blocks at once in one press would be none. */
  #memberIn(press: Press, length: number): Member {
    let isHeld = true;
    return {
      bytes: press.output.subarray(0, length),
      [Symbol.dispose]: () => {
        if (isHeld) this.#giveBack(press);
        isHeld = false;
      },
    };
  }

  #giveBack(press: Press): void {
    this.#idle.push(press);
    this.#idleTimer = this.#idleTimer?.refresh() ?? setTimeout(() => this.release(), idleLimitMs).unref();
  }

  /** Gives back the memory of what is not in use. */
  release(): void {
    clearTimeout(this.#idleTimer);
    this.#idleTimer = undefined;
    for (const { handle } of this.#idle.splice(0)) this.#library.free(handle);
  }

  #take(level: number, length: number): Press {
    const at = this.#idle.findLastIndex((press) => press.level === level);
    const [idle] = at < 0 ? [] : this.#idle.splice(at, 1);
    const handle = idle?.handle ?? this.#library.allocate(level);
    if (handle === undefined) throw failed('A compressor');
    const bound = this.#library.bound(handle, length);
    const output = idle && idle.output.length >= bound ? idle.output : Buffer.allocUnsafeSlow(bound);
    return { handle, level, output };
  }
}

function failed(what: string): DumpError {
  return new DumpError(
    'CompressionFailed',
    `${what} was refused by libdeflate.`,
    'Memory may be short. Without the library (Debian: libdeflate0) zlib is used, which needs less.',
  );
}
