/** Those of libdeflate's functions that are used. Sizes are in bytes. */
export interface Libdeflate {
  /** @returns undefined where memory is short */
  allocate(level: number): CompressorHandle | undefined;
  free(compressor: CompressorHandle): void;
  /** What one gzip member of so many bytes can take at most. */
  bound(compressor: CompressorHandle, length: number): number;
  /**
   * One gzip member, made on libuv's thread pool. Only addresses are handed on: the caller keeps both buffers, and uses
   * neither them nor the compressor, until the promise has settled.
   * @returns the member's length; 0 where it does not fit into `output`
   */
  compress(compressor: CompressorHandle, input: Buffer, output: Buffer): Promise<number>;
  /** @returns undefined where memory is short */
  allocateDecompressor(): DecompressorHandle | undefined;
  freeDecompressor(decompressor: DecompressorHandle): void;
  /**
   * The first gzip member of `input`, its checksum checked; as `compress` in everything else.
   * @returns undefined where it is damaged, cut or does not fit into `output`
   */
  decompress(decompressor: DecompressorHandle, input: Uint8Array, output: Buffer): Promise<Inflated | undefined>;
}

/** One member, decompressed. */
export interface Inflated {
  /** Bytes that the member has. */
  taken: number;
  /** Bytes that came out of it. */
  made: number;
}

/** A `struct libdeflate_compressor *`, good for one call at a time. */
export type CompressorHandle = bigint | object;
/** A `struct libdeflate_decompressor *`, of some 12 KB, good for one call at a time. */
export type DecompressorHandle = bigint | object;

/** What the system's packages call it: Debian's and Fedora's by its soname, Homebrew's by its place. */
const names: Partial<Record<NodeJS.Platform, readonly string[]>> = {
  linux: ['libdeflate.so.0'],
  darwin: ['libdeflate.dylib', '/opt/homebrew/lib/libdeflate.dylib', '/usr/local/lib/libdeflate.dylib'],
};

/** Calls under way for which memory is set aside: three for each of three who write a dump. */
const callsAtOnce = 9;

type Size = number | bigint;

let system: Promise<Libdeflate | undefined> | undefined;

/** The system's libdeflate, looked for once. */
export async function systemLibdeflate(): Promise<Libdeflate | undefined> {
  return (system ??= openLibdeflate());
}

let configured: ReturnType<typeof configuredKoffi> | undefined;

async function configuredKoffi(): Promise<typeof import('koffi') | undefined> {
  const koffi = await import('koffi').catch(() => undefined);
  // A call that finds no memory set aside has half a megabyte made and cleared for it, each time. To be said once, and
  // before any library is loaded.
  koffi?.config({ ...koffi.config(), resident_async_pools: callsAtOnce });
  return koffi;
}

/**
 * The system's libdeflate; undefined where it is not installed, or koffi, which calls it, is not.
 * @param files instead of those where the system keeps it
 */
export async function openLibdeflate(
  files: readonly string[] = names[process.platform] ?? [],
): Promise<Libdeflate | undefined> {
  const koffi = await (configured ??= configuredKoffi());
  for (const file of koffi ? files : []) {
    try {
      return bind(koffi!.load(file));
    } catch {
      // Not there, or of another kind than expected: the next, or zlib, does as well.
    }
  }
  return undefined;
}

function bind(library: { func: (definition: string) => unknown }): Libdeflate {
  const allocate = library.func('void *libdeflate_alloc_compressor(int level)') as (
    level: number,
  ) => CompressorHandle | null;
  const free = library.func('void libdeflate_free_compressor(void *compressor)') as (handle: CompressorHandle) => void;
  const bound = library.func('size_t libdeflate_gzip_compress_bound(void *compressor, size_t length)') as (
    handle: CompressorHandle,
    length: number,
  ) => Size;
  const compress = library.func(
    'size_t libdeflate_gzip_compress(void *compressor, const void *input, size_t length, void *output, size_t room)',
  ) as { async: (...args: [CompressorHandle, Buffer, number, Buffer, number, Callback]) => void };
  const allocateDecompressor = library.func('void *libdeflate_alloc_decompressor()') as () => DecompressorHandle | null;
  const freeDecompressor = library.func('void libdeflate_free_decompressor(void *decompressor)') as (
    handle: DecompressorHandle,
  ) => void;
  const decompress = library.func(
    'int libdeflate_gzip_decompress_ex(void *decompressor, const void *input, size_t length, void *output, size_t room, void *taken, void *made)',
  ) as {
    async: (
      ...args: [
        DecompressorHandle,
        Uint8Array,
        number,
        Buffer,
        number,
        BigUint64Array,
        BigUint64Array,
        (error: unknown, result: number) => void,
      ]
    ) => void;
  };
  return {
    allocate: (level) => allocate(level) || undefined,
    free,
    bound: (handle, length) => Number(bound(handle, length)),
    compress: async (handle, input, output) =>
      new Promise((resolve, reject) => {
        compress.async(handle, input, input.length, output, output.length, (error, length) => {
          if (error instanceof Error) reject(error);
          else resolve(Number(length));
        });
      }),
    allocateDecompressor: () => allocateDecompressor() || undefined,
    freeDecompressor,
    decompress: async (handle, input, output) => {
      // A `size_t` each, of a machine with 64 bits, which are all that there is a Node.js 24 for.
      const [taken, made] = [new BigUint64Array(1), new BigUint64Array(1)];
      const result = await new Promise<number>((resolve, reject) => {
        decompress.async(handle, input, input.length, output, output.length, taken, made, (error, code) => {
          if (error instanceof Error) reject(error);
          else resolve(code);
        });
      });
      return result === 0 ? { taken: Number(taken[0]), made: Number(made[0]) } : undefined;
    },
  };
}

type Callback = (error: unknown, length: Size) => void;
