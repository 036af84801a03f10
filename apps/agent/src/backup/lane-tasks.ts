import type { LaneTable } from './lane-tables.ts';

/** Rows of a table that one COPY reads: those in its pages `from` up to `to`, which is left out for all that follow. */
export interface LaneTask {
  table: LaneTable;
  from: number;
  to: number | undefined;
  /** About what it reads. */
  sizeBytes: number;
}

/** Less is not worth a statement and a chunk that is not full. */
const leastBytes = 16 * 1024 * 1024;
/** Tasks for each lane: the more, the sooner after one another lanes come to their end. */
const tasksPerLane = 8;

/**
 * Divides tables into ranges of pages so that the lanes finish together: largest first, none much more than its share.
 * Every page stands in exactly one range; pages that a table gains meanwhile hold nothing that the snapshot sees.
 * @param inRanges whether the server finds rows by a range of ctid without reading all others: PostgreSQL 14 and newer
 */
export function planLaneTasks(tables: readonly LaneTable[], jobs: number, inRanges: boolean): LaneTask[] {
  const totalBytes = tables.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const shareBytes = Math.max(leastBytes, totalBytes / (jobs * tasksPerLane));
  const tasks = tables.flatMap((table) => {
    const wanted = inRanges ? Math.ceil(table.sizeBytes / shareBytes) : 1;
    const parts = Math.max(1, Math.min(wanted, table.pages));
    const pageOf = (part: number) => Math.floor((table.pages * part) / parts);
    return Array.from({ length: parts }, (_, part) => ({
      table,
      from: pageOf(part),
      to: part + 1 < parts ? pageOf(part + 1) : undefined,
      sizeBytes: table.sizeBytes / parts,
    }));
  });
  return tasks.toSorted((a, b) => b.sizeBytes - a.sizeBytes);
}

/** The statement that reads it, in the encoding of the table's names. A whole table is read as pg_dump does. */
export function copyStatement({ table, from, to }: LaneTask): Buffer {
  const { relation, columns } = table;
  const text = (part: string) => Buffer.from(part);
  if (from === 0 && to === undefined) {
    const list = columns.length > 0 ? [text(' ('), columns, text(')')] : [];
    return Buffer.concat([text('COPY '), relation, ...list, text(' TO STDOUT')]);
  }
  const upTo = to === undefined ? '' : ` AND ctid < '(${to},0)'::pg_catalog.tid`;
  const where = ` WHERE ctid >= '(${from},0)'::pg_catalog.tid${upTo}) TO STDOUT`;
  return Buffer.concat([text('COPY (SELECT '), columns, text(' FROM ONLY '), relation, text(where)]);
}

/** For people: whose rows, and which of them. */
export function describeTask({ table, from, to }: LaneTask): string {
  if (from === 0 && to === undefined) return `the rows of ${table.name}`;
  return `the rows of ${table.name} from page ${from}${to === undefined ? ' on' : ` to ${to}`}`;
}
