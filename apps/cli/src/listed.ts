import type { Output } from '@strideiq/terminal';
import type { Listed } from './connection/pages.ts';

/** Options of every list. */
export interface ListOptions {
  environment?: string;
  /** At most so many. */
  limit?: number;
}

/**
 * Prints a list.
 * @param text the items as a table
 * @returns the exit code: 3 where there is nothing
 */
export function listed<Item>(
  output: Output,
  { items, more }: Listed<Item>,
  { kind, text }: { kind: string; text: (items: readonly Item[]) => string },
): number {
  if (items.length === 0) {
    if (output.json) output.result({ items, more }, '');
    output.note(`There is no ${kind} that this key may see.`);
    return 3;
  }
  output.result({ items, more }, text(items));
  if (more) output.note('There are more: --limit COUNT, or --all.');
  return 0;
}
