import type { Chunk, Manifest } from '@strideiq/core';
import { relationKey, type RelationName } from '@strideiq/dump';
import type { MadeObjects, Relation } from './relations.ts';

/** The rows of one table that has chunks of its own, or of several that share one. */
export interface RowsWork {
  /** Places in the manifest's `chunks`, in the order of the object. */
  chunks: number[];
  /** By `relationKey`. */
  tables: ReadonlySet<string>;
  /** The table is emptied and filled in one transaction, and its rows need no vacuum. */
  freeze: boolean;
  /** About how many bytes of SQL. */
  rawBytes: number;
}

/** Who loads which rows. */
export interface DataPlan {
  rows: RowsWork[];
  /** Chunks of the data section that are read for what is not the rows of a table above, in their order. */
  rest: number[];
  /** About how much each table holds, by `relationKey`. */
  sizes: ReadonlyMap<string, TableSize>;
}

export interface TableSize {
  rows: number;
  rawBytes: number;
}

/** Whether a table's rows may be loaded apart from everything else. */
function standsAlone(relation: Relation | undefined): relation is Relation {
  return relation !== undefined && !relation.fromExtension && relation.kind !== 'materialized view';
}

/**
 * Divides the data section among pieces of work that do not need each other. A table that has more than its place in a
 * shared chunk is one; those that lie wholly within one chunk are loaded together. Tables of extensions have keys already
 * while they are filled, so that they keep the dump's order, as does everything that is no row.
 * @param wanted the only tables whose rows are wanted, by `relationKey`; left out: all
 */
export function planData(
  { chunks, tables }: Pick<Manifest, 'chunks' | 'tables'>,
  { relations }: MadeObjects,
  wanted?: ReadonlySet<string>,
): DataPlan {
  const keys = tables.map(relationKey);
  const places = tables.map((): number[] => []);
  const alone = tables.map(() => false);
  const sizes = tables.map((): TableSize => ({ rows: 0, rawBytes: 0 }));
  for (const [place, chunk] of chunks.entries()) {
    if (chunk.section !== 'data') continue;
    const shares = sharesOf(chunk);
    for (const [table, share] of shares) {
      places[table]?.push(place);
      if (shares.size === 1) alone[table] = true;
      const size = sizes[table] as TableSize;
      size.rows += share.rows;
      size.rawBytes += share.rawBytes;
    }
  }
  const rows: RowsWork[] = [];
  const shared = new Map<number, { tables: Set<string>; rawBytes: number }>();
  const rest = new Set<number>();
  for (const [place, { section, rows: held = [] }] of chunks.entries()) {
    // What is no row belongs to the whole.
    if (section === 'data' && held.length === 0 && !wanted) rest.add(place);
  }
  for (const [table, key] of keys.entries()) {
    const relation = relations.get(key);
    const at = places[table] ?? [];
    const { rawBytes } = sizes[table] as TableSize;
    if (wanted && !wanted.has(key)) continue;
    if (!standsAlone(relation)) for (const place of at) rest.add(place);
    else if (alone[table] === true || at.length > 1) {
      const freeze = relation.kind === 'table' && relation.heap;
      rows.push({ chunks: at, tables: new Set([key]), freeze, rawBytes });
    } else {
      for (const place of at) {
        const together = shared.get(place) ?? { tables: new Set<string>(), rawBytes: 0 };
        together.tables.add(key);
        together.rawBytes += rawBytes;
        shared.set(place, together);
      }
    }
  }
  for (const [place, together] of shared) rows.push({ chunks: [place], freeze: false, ...together });
  return {
    rows,
    rest: [...rest].toSorted((a, b) => a - b),
    sizes: new Map(keys.map((key, table) => [key, sizes[table] as TableSize])),
  };
}

/** About how much of a chunk is each table's: by their rows, which is all that is known. */
function sharesOf({ rows = [], rawLength }: Chunk): Map<number, TableSize> {
  const all = rows.reduce((sum, each) => sum + each.rows, 0);
  return new Map(
    rows.map(({ table, rows: count }) => [table, { rows: count, rawBytes: all === 0 ? 0 : (rawLength * count) / all }]),
  );
}

/** Tables whose rows are loaded by the plan's pieces, by chunk: what is left of it is the rest's. */
export function loadedApart(plan: DataPlan): (chunk: number, table: RelationName) => boolean {
  const apart = new Map<number, Set<string>>();
  for (const { chunks, tables } of plan.rows) {
    for (const place of chunks) apart.set(place, new Set([...(apart.get(place) ?? []), ...tables]));
  }
  return (chunk, table) => apart.get(chunk)?.has(relationKey(table)) ?? false;
}
