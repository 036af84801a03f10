import { and, eq, lt, or, type SQL, type SQLWrapper } from 'drizzle-orm';
import { z } from 'zod';
import { ControlPlaneError } from '../errors.ts';

const mostItems = 200;

/** What every list takes. Numbers come as text in a query string. */
export const pageInput = {
  cursor: z.string().max(500).optional().describe('Where to go on: `nextCursor` of the page before.'),
  limit: z.coerce.number<number>().int().min(1).max(mostItems).default(50).describe(`At most ${mostItems}.`),
};

/** What every list answers; newest first. */
export function pageOutput<Item extends z.ZodType>(item: Item) {
  return z.object({
    items: z.array(item),
    nextCursor: z.string().nullable().describe('Null on the last page.'),
  });
}

/** Place of an item in a list that is ordered by moment, newest first, and by id where the moment is the same. */
export interface Place {
  at: number;
  id: string;
}

/**
 * Reads one page. A cursor holds the place of the last item that was shown, so what is made in the meantime neither
 * repeats an item nor leaves one out.
 * @param read at most `limit` rows in the list's order
 */
export function readPage<Row>(limit: number, read: (limit: number) => Row[], placeOf: (row: Row) => Place) {
  const rows = read(limit + 1);
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return { items, nextCursor: rows.length > limit && last !== undefined ? cursorOf(placeOf(last)) : null };
}

export function cursorOf({ at, id }: Place): string {
  return Buffer.from(JSON.stringify([at, id])).toString('base64url');
}

/**
 * Condition for what comes after the cursor.
 * @throws ControlPlaneError `InputInvalid` for a cursor that is none of ours
 */
export function afterCursor(cursor: string | undefined, at: SQLWrapper, id: SQLWrapper): SQL | undefined {
  if (cursor === undefined) return undefined;
  const place = placeOf(cursor);
  return or(lt(at, place.at), and(eq(at, place.at), lt(id, place.id)));
}

const placeSchema = z.tuple([z.number(), z.string()]);

function placeOf(cursor: string): Place {
  try {
    const [at, id] = placeSchema.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString()));
    return { at, id };
  } catch (cause) {
    throw new ControlPlaneError(
      'InputInvalid',
      'The cursor is none that this control plane gave out.',
      'Begin without one, and go on with `nextCursor` of each answer.',
      { cause },
    );
  }
}
