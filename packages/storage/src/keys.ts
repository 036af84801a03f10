import { StorageError } from './errors.ts';

/**
 * Ending of a temporary file, `.<name>.<random>.partial` beside the name it will get. Whoever sees one in the folder
 * knows at once that it is ours, of which key, and that it is not whole. No key may look like one.
 */
const partialName = /^\.(.+)\.[0-9a-z]+\.partial$/s;

/** Longest part between slashes, in bytes: file systems end at 255, and a temporary name needs some of it. */
const longestSegmentBytes = 220;
/** S3 ends at 1024 bytes with the prefix; directories at a path of 4096. */
const longestKeyBytes = 800;

/** The final name that a temporary file was to get, or undefined for a name that is not a temporary file of ours. */
export function nameOfPartial(name: string): string | undefined {
  return partialName.exec(name)?.[1];
}

/** The name of a temporary file for `name`; `random` holds digits and lower-case letters only. */
export function partialNameOf(name: string, random: string): string {
  return `.${name}.${random}.partial`;
}

/**
 * Lets a key pass that means the same object in every store and cannot lead out of its place.
 * @throws StorageError `KeyInvalid`, saying what is wrong with it
 */
export function checkKey(key: string): void {
  const problem = problemOf(key);
  if (problem === undefined) return;
  throw new StorageError(
    'KeyInvalid',
    `${JSON.stringify(key.slice(0, longestKeyBytes))} cannot be the name of an object: it ${problem}.`,
    'Use parts joined by single slashes, none of them empty, "." or "..", without backslashes or control characters.',
  );
}

function problemOf(key: string): string | undefined {
  if (key === '') return 'is empty';
  if (!key.isWellFormed()) return 'holds half of a surrogate pair';
  // oxlint-disable-next-line no-control-regex -- these are what is looked for: no store and no terminal takes them alike
  if (/[\u0000-\u001f\u007f]/.test(key)) return 'holds a control character';
  if (key.includes('\\')) return 'holds a backslash';
  if (Buffer.byteLength(key) > longestKeyBytes) return `is longer than ${longestKeyBytes} bytes`;
  for (const segment of key.split('/')) {
    if (segment === '') return 'begins or ends with a slash, or has two in a row';
    if (segment === '.' || segment === '..') return `holds the part "${segment}"`;
    if (Buffer.byteLength(segment) > longestSegmentBytes) return `has a part longer than ${longestSegmentBytes} bytes`;
    if (nameOfPartial(segment) !== undefined) return 'looks like a temporary file of an unfinished put';
  }
  return undefined;
}

/** Ascending order of UTF-8 bytes, as S3 lists; JavaScript's own order is that of UTF-16 and differs past U+FFFF. */
export function compareKeys(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
