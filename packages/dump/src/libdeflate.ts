/** libdeflate's functions that a compressor needs. Sizes are in bytes. */
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
}

/** A `struct libdeflate_compressor *`, good for one call at a time. */
export type CompressorHandle = bigint | object;

/** What the system's packages call it: Debian's and Fedora's by its soname, Homebrew's by its place. */
const names: Partial<Record<NodeJS.Platform, readonly string[]>> = {
  linux: ['libdeflate.so.0'],
  darwin: ['libdeflate.dylib', '/opt/homebrew/lib/libdeflate.dylib', '/usr/local/lib/libdeflate.dylib'],
};

/** Calls under way for which memory is set aside: three for each of three who write a dump. */
const callsAtOnce = 9;

type Size = number | bigint;

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
  };
}

type Callback = (error: unknown, length: Size) => void;
