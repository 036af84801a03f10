const backslash = 0x5c;
const newline = 0x0a;
const nextEnd = Buffer.from('\n\\.');

/** How far the rows go in these bytes, and how many bytes the line that ends them has; 0 where it was not met. */
export interface CopyStretch {
  rowsEnd: number;
  endingLength: number;
}

/**
 * Passes over COPY data from `at` on. As in psql's `handleCopyIn` (src/bin/psql/copy.c), a line of `\.` alone ends it,
 * whether lines end in `\n` or `\r\n`; no row in text format looks like that. Bytes past `rowsEnd` that are no ending
 * cannot be told from one until more have come.
 */
export function passCopyData(b: Buffer, at: number, atLineStart: boolean, final: boolean): CopyStretch {
  if (atLineStart) {
    const length = endingAt(b, at, final);
    if (length !== 0) return { rowsEnd: at, endingLength: Math.max(length, 0) };
  }
  for (let from = at; ;) {
    const found = b.indexOf(nextEnd, from);
    if (found < 0) break;
    const length = endingAt(b, found + 1, final);
    if (length !== 0) return { rowsEnd: found + 1, endingLength: Math.max(length, 0) };
    from = found + 1;
  }
  const end = b.length;
  const cut = !final && end - at >= 2 && b[end - 1] === backslash && b[end - 2] === newline;
  return { rowsEnd: cut ? end - 1 : end, endingLength: 0 };
}

/** Length of the ending that begins at `i`, line end included; 0 for none, -1 for more bytes needed. */
function endingAt(b: Buffer, i: number, final: boolean): number {
  if (b[i] !== backslash) return 0;
  if (i + 1 === b.length) return final ? 0 : -1;
  if (b[i + 1] !== 0x2e) return 0;
  if (i + 2 === b.length) return final ? 2 : -1;
  if (b[i + 2] === newline) return 3;
  if (b[i + 2] !== 0x0d) return 0;
  if (i + 3 === b.length) return final ? 3 : -1;
  return b[i + 3] === newline ? 4 : 0;
}
