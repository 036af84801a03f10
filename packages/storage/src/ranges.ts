import { StorageError } from './errors.ts';
import type { ByteRange } from './store.ts';

/**
 * Lets a range pass that every store can serve: whole numbers, at least one byte long.
 * @throws StorageError `RangeInvalid`
 */
export function checkRange(range: ByteRange | undefined, what: string): void {
  if (range === undefined) return;
  const { offset, length = 1 } = range;
  if (Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 1) return;
  throw new StorageError(
    'RangeInvalid',
    `The range ${describeRange(range)} of ${what} is none: offset and length are whole numbers, the length at least 1.`,
    'This is a fault of the program that asked; please report it.',
  );
}

export function describeRange({ offset, length }: ByteRange): string {
  return length === undefined ? `from byte ${offset}` : `of ${length} bytes from byte ${offset}`;
}

/** @returns the error for a range that begins at or past the end */
export function rangePastEnd(range: ByteRange, what: string, sizeBytes?: number, cause?: unknown): StorageError {
  const size = sizeBytes === undefined ? 'past its end' : `but it holds only ${sizeBytes} bytes`;
  return new StorageError(
    'RangeInvalid',
    `The range ${describeRange(range)} of ${what} was asked for, ${size}.`,
    'The object is not the one that its index describes: verify the backup before you restore from it.',
    { cause },
  );
}
