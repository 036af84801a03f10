import { z } from 'zod';

/**
 * What a database is made of, in place of its DDL text, which is printed differently after one round trip.
 * Sorted by kind and identity.
 */
export const inventorySchema = z.array(
  z.object({
    /** `table`, `view`, `index`, `constraint`, `function`, `type`, `trigger`, `policy` … */
    kind: z.string(),
    /** Schema-qualified and quoted as PostgreSQL prints it, with argument types where names alone are not unique. */
    identity: z.string(),
    /** What must be equal after a restore, in order: a table's columns as `name type`, an index's columns … */
    parts: z.array(z.string()).optional(),
    /** Expressions and definitions: shown to people, never compared. */
    information: z.string().optional(),
  }),
);
export type Inventory = z.infer<typeof inventorySchema>;
export type InventoryObject = Inventory[number];

/** One way in which what was found is not what was expected. */
export interface InventoryDifference {
  what: 'missing' | 'unexpected' | 'different';
  kind: string;
  identity: string;
  /** For `different`: the first part that differs, as expected and as found. */
  expected?: string;
  found?: string;
}

/** Compares without regard to order; empty where both hold the same objects made of the same parts. */
export function compareInventories(expected: Inventory, found: Inventory): InventoryDifference[] {
  const differences: InventoryDifference[] = [];
  // Lists, since what is there twice must be found twice.
  const left = Map.groupBy(found, keyOf);
  for (const object of expected) {
    const other = left.get(keyOf(object))?.shift();
    const { kind, identity } = object;
    if (!other) {
      differences.push({ what: 'missing', kind, identity });
      continue;
    }
    const [mine, theirs] = [object.parts ?? [], other.parts ?? []];
    const at = Array.from({ length: Math.max(mine.length, theirs.length) }).findIndex((_, i) => mine[i] !== theirs[i]);
    if (at >= 0) {
      differences.push({
        what: 'different',
        kind,
        identity,
        expected: mine[at] ?? '(nothing)',
        found: theirs[at] ?? '(nothing)',
      });
    }
  }
  for (const { kind, identity } of [...left.values()].flat()) differences.push({ what: 'unexpected', kind, identity });
  return differences;
}

function keyOf(object: InventoryObject): string {
  return JSON.stringify([object.kind, object.identity]);
}
