import { displayWidth, printable } from './text.ts';

/**
 * Columns as wide as their widest cell on a terminal, and one row one line whatever its cells hold.
 * @param right columns of numbers, which stand to the right
 */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly number[] = [],
): string {
  const lines = [head, ...rows.map((row) => head.map((_, column) => oneLine(row[column] ?? '')))];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => displayWidth(line[column] ?? ''))));
  return lines
    .map((line) =>
      line
        .map((cell, column) => {
          const space = ' '.repeat((widths[column] ?? 0) - displayWidth(cell));
          return right.includes(column) ? `${space}${cell}` : `${cell}${space}`;
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** A name may hold a line break; printed as such, it could forge a row of its own. */
function oneLine(cell: string): string {
  return printable(cell)
    .replaceAll('\n', String.raw`\n`)
    .replaceAll('\t', String.raw`\t`);
}
