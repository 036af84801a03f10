import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { CliError } from '../errors.ts';

/** What S3 takes in one request (S3 User Guide, "Uploading objects"). */
const mostBytes = 5 * 1024 ** 3;

/**
 * The size of a local dump that can be uploaded.
 * @throws CliError `FileUnusable`
 */
export async function sizeOfDump(path: string): Promise<number> {
  const found = await stat(path).catch((cause: unknown) => {
    throw new CliError('FileUnusable', `${path} cannot be read: ${(cause as Error).message}.`, 'Name another file.', {
      cause,
    });
  });
  const refuse = (why: string, cure: string) => new CliError('FileUnusable', `${path} ${why}.`, cure);
  if (!found.isFile()) throw refuse('is no file', 'Name a dump of pg_dump that gzip has compressed.');
  if (!path.endsWith('.sql.gz')) throw refuse('is no .sql.gz', `Compress it first: gzip -k ${JSON.stringify(path)}`);
  if (found.size <= mostBytes) return found.size;
  throw refuse(
    `has ${found.size} bytes, and S3 takes ${mostBytes} in one request`,
    'Put it into the bucket by `aws s3 cp`, and restore it on the host: strideiq-agent restore s3://…',
  );
}

/**
 * Sends a file to a presigned URL, in one request.
 * @param tell how many bytes have left
 * @throws CliError `Unreachable`, `FileUnusable`; the signal's reason
 */
export async function putFile(
  path: string,
  size: number,
  { url, headers }: { url: string; headers: Record<string, string> },
  { signal, tell }: { signal: AbortSignal; tell: (bytes: number) => void },
): Promise<void> {
  const open = url.startsWith('https:') ? httpsRequest : httpRequest;
  const request = open(url, { method: 'PUT', headers: { ...headers, 'content-length': size }, signal });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve).once('error', reject);
  });
  const file = createReadStream(path, { highWaterMark: 1 << 20, end: size - 1 });
  try {
    const failed = pipeline(file, (pieces: AsyncIterable<Buffer>) => counted(pieces, size, tell), request).then(
      () => undefined,
      (error: unknown) => error,
    );
    // A bucket that refuses may do so before it has heard all, and then hang up: what it says is the better reason.
    const response = await answered.catch(async (error: unknown) => {
      throw (await failed) ?? error;
    });
    const words = await text(response);
    if (response.statusCode === 200) return;
    throw new Error(`it answered ${response.statusCode}: ${words.slice(0, 300)}`);
  } catch (cause) {
    request.destroy();
    signal.throwIfAborted();
    throw new CliError(
      'Unreachable',
      `${path} could not be put into the bucket at ${new URL(url).host}: ${(cause as Error).message}.`,
      'Look whether this machine reaches the bucket; run the command again.',
      { cause },
    );
  }
}

/** The bucket would wait for what a file has lost since it was looked at. */
async function* counted(
  pieces: AsyncIterable<Buffer>,
  size: number,
  tell: (bytes: number) => void,
): AsyncGenerator<Buffer> {
  let sent = 0;
  for await (const piece of pieces) {
    sent += piece.length;
    tell(sent);
    yield piece;
  }
  if (sent < size) throw new Error(`the file has ${sent} bytes by now, and had ${size}`);
}
