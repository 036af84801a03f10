import { StorageError, type ByteRange } from '@strideiq/storage';
import type { HttpAnswer } from '../stores/http-get.ts';

/** What a URL that is no longer good is answered with: by S3 403, 400 where the credentials behind it have expired. */
export const notGoodAnyMore = new Set([400, 401, 403]);

export function rangeHeader({ offset, length }: ByteRange): string {
  return `bytes=${offset}-${length === undefined ? '' : offset + length - 1}`;
}

/** `bytes 0-0/1234` (RFC 9110, 14.4), or of the whole. */
export function sizeOf({ status, headers }: HttpAnswer): number | undefined {
  // Not even a first byte, where that was asked for: there is none.
  if (status === 416) return 0;
  const total = /\/(\d+)$/.exec(headers['content-range'] ?? '')?.[1];
  if (total !== undefined) return Number(total);
  return status === 200 && headers['content-length'] !== undefined ? Number(headers['content-length']) : undefined;
}

/** A server that gives something else than was asked for would have it run as SQL from elsewhere in the dump. */
export function checkPart({ status, headers }: HttpAnswer, { offset, length }: ByteRange, what: string): void {
  if (status === 200 && offset === 0 && length === undefined) return;
  if (status === 416) throw pastEnd(what);
  const first = /^bytes (\d+)-/.exec(headers['content-range'] ?? '')?.[1];
  if (status !== 206 || Number(first) !== offset) throw unusable(`${what} cannot be read in parts there`);
}

function pastEnd(what: string): StorageError {
  return new StorageError(
    'RangeInvalid',
    `${what} ends before what was asked of it.`,
    'The object is not the one that its index describes: verify the backup before you restore from it.',
  );
}

export function refusalOf(what: string, status: number): StorageError {
  if (status === 404 || status === 410) {
    return new StorageError('ObjectMissing', `${what} is not there.`, 'Restore from another copy or another backup.');
  }
  if (status === 429 || status >= 500) {
    return new StorageError(
      'StorageBusy',
      `${what} could not be read: the server answered ${status}.`,
      'This passes as a rule.',
    );
  }
  if (notGoodAnyMore.has(status)) {
    return new StorageError(
      'AccessDenied',
      `${what} may not be read: the server answered ${status}, to new URLs too.`,
      'See that whoever made them (the control plane, or the agent of the source) may read there: s3:GetObject, and the clocks of both.',
    );
  }
  return unusable(`${what} could not be read: the server answered ${status}`);
}

export function unusable(why: string): StorageError {
  return new StorageError(
    'StorageUnusable',
    `${why}.`,
    'Restore from another copy, or on a host that has a store of its own for it.',
  );
}
