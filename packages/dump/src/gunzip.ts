import { Readable, pipeline } from 'node:stream';
import { createGunzip, type Gunzip } from 'node:zlib';
import { corrupt, DumpError } from './errors.ts';

export interface GunzipOptions {
  /** Output beyond this is refused; for content whose size is known, or memory that is not to be filled. */
  maxBytes?: number;
  /**
   * Output per byte of input, looked at once a gigabyte has come out: 1000. Deflate reaches 1032 at most, with the same
   * byte over and over; rows of a database stay well below.
   */
  maxRatio?: number;
  /** The source's memory stays as it is while it is read, so that nothing has to be copied: false. */
  lasting?: boolean;
}

const ratioFloorBytes = 1024 ** 3;
const outputBytes = 256 * 1024;

/** zlib's decompression of any number of members in a row, their checksums checked. It stops without a word at zero bytes behind a member. */
export function createInflater(): Gunzip {
  return createGunzip({ chunkSize: outputBytes });
}

/**
 * Decompresses a gzip file of one member or of many (RFC 1952), of any size, as it arrives.
 * @throws DumpError `NotGzip`, `DumpCorrupt`, `DumpTruncated` (also in the middle of the last member, or for no bytes at
 *   all), `DumpExpandsTooFar`; whatever the source threw
 */
export async function* gunzip(source: AsyncIterable<Uint8Array>, options: GunzipOptions = {}): AsyncGenerator<Buffer> {
  const inflater = createInflater();
  const input = { bytes: 0, head: Buffer.alloc(0) };
  let bytes = 0;
  // The pipeline ends both sides when either fails; its error arrives through the loop below.
  pipeline(Readable.from(counted(source, input, options.lasting ?? false)), inflater, () => {});
  try {
    for await (const piece of inflater as AsyncIterable<Buffer>) {
      bytes += piece.length;
      assertWithin(bytes, input.bytes, options);
      yield piece;
    }
  } catch (error) {
    throw explain(error, inflater.bytesWritten, input.head);
  }
  if (input.bytes === 0) throw empty();
  if (inflater.bytesWritten < input.bytes) throw padded(inflater.bytesWritten);
}

async function* counted(
  source: AsyncIterable<Uint8Array>,
  input: { bytes: number; head: Buffer },
  lasting: boolean,
): AsyncGenerator<Uint8Array> {
  for await (const piece of source) {
    if (piece.length === 0) continue;
    input.bytes += piece.length;
    input.head = headOf(input.head, piece);
    // The pipeline asks for the next piece before zlib has used this one, whose memory is the source's.
    yield lasting ? piece : Uint8Array.from(piece);
  }
}

/** @throws DumpError `DumpExpandsTooFar` */
export function assertWithin(bytes: number, inputBytes: number, options: GunzipOptions): void {
  const { maxBytes = Number.POSITIVE_INFINITY, maxRatio = 1000 } = options;
  if (bytes <= maxBytes && (bytes <= ratioFloorBytes || bytes <= inputBytes * maxRatio)) return;
  const limit = bytes > maxBytes ? `${maxBytes} bytes` : `${maxRatio} times its size`;
  throw new DumpError(
    'DumpExpandsTooFar',
    `The compressed dump expands to more than ${limit}.`,
    'It is not what the backup wrote, or was made to fill a disk. Use another copy.',
  );
}

const magic = Buffer.from([0x1f, 0x8b]);

/** The first two bytes of a file, as far as they have come. */
export function headOf(head: Buffer, piece: Uint8Array): Buffer {
  return head.length < magic.length ? Buffer.concat([head, piece.subarray(0, magic.length - head.length)]) : head;
}

/** Whether gzip's two bytes stand at the beginning. */
export function beginsMember(bytes: Uint8Array): boolean {
  return magic.equals(bytes.subarray(0, magic.length));
}

/**
 * What zlib's error means for a dump; any other error stays as it is.
 * @param offset of the last byte that zlib is known to have taken
 * @param head the file's first two bytes
 */
export function explain(error: unknown, offset: number, head: Buffer): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'Z_BUF_ERROR') {
    return new DumpError(
      'DumpTruncated',
      `The compressed dump ends in the middle, at byte ${offset}.`,
      'It is not whole: whatever wrote or copied it was stopped. Use another copy, or take the backup again.',
      { cause: error },
    );
  }
  if (code !== 'Z_DATA_ERROR' && code !== 'Z_NEED_DICT') return error;
  if (beginsMember(head)) return corrupt((error as Error).message, offset, { cause: error });
  return new DumpError(
    'NotGzip',
    'The file is not compressed with gzip.',
    'Name a .sql.gz file; a file that ends in .age is encrypted and has to be decrypted first.',
    { cause: error },
  );
}

/** Whatever follows the last member was not written by the backup. */
export function padded(offset: number): DumpError {
  return corrupt('what follows there is no gzip member', offset);
}

export function empty(): DumpError {
  return new DumpError('DumpTruncated', 'The compressed dump is empty.', 'Use another copy, or take the backup again.');
}
