import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Manifest } from './manifest.ts';

/** Of what differs so much is told by name; the rest is a number. */
const mostTables = 20;
const mostExamples = 10;
const mostNameLength = 300;
/** A table that loses less is a table that is used. */
const leastShare = 0.1;
const leastRows = 100;

const countSchema = z.int().nonnegative();
const textSchema = z.string().max(1000);

/** How a backup differs from the one that was made before it. */
export const backupComparisonSchema = z.object({
  /** The backup that it was compared with, by its id. */
  against: textSchema,
  /** Tables that have lost at least a tenth of at least 100 rows, those first that have lost the most. */
  rowsLost: z.array(z.object({ table: textSchema, before: countSchema, after: countSchema })).max(mostTables),
  schema: z.object({
    added: countSchema,
    removed: countSchema,
    changed: countSchema,
    /** Words for people: `table public.athletes: changed`. */
    examples: z.array(textSchema).max(mostExamples),
  }),
});
export type BackupComparison = z.infer<typeof backupComparisonSchema>;

/** What is kept of a backup for the next one to be compared with: small beside its manifest. */
export const backupShapeSchema = z.object({
  backupId: z.string(),
  /** What was left out of the dump: backups that leave out other things are not compared. */
  leavesOut: z.string(),
  /** Each with its rows. */
  tables: z.array(z.tuple([z.string(), z.number()])),
  /** Everything that it is made of, each with a hash of what must be equal after a restore. */
  objects: z.array(z.tuple([z.string(), z.string()])),
});
export type BackupShape = z.infer<typeof backupShapeSchema>;

export function shapeOf({
  backupId,
  tables,
  inventory,
  dumpOptions,
}: Pick<Manifest, 'backupId' | 'tables' | 'inventory' | 'dumpOptions'>): BackupShape {
  const { excludeTables, excludeTableData } = dumpOptions;
  const seen = new Map<string, number>();
  return {
    backupId,
    leavesOut: JSON.stringify([excludeTables, excludeTableData]),
    tables: tables.map(({ schema, name, rows }) => [`${part(schema)}.${part(name)}`, rows]),
    objects: inventory.map(({ kind, identity, parts = [] }) => {
      const name = `${kind} ${identity}`;
      const times = (seen.get(name) ?? 0) + 1;
      seen.set(name, times);
      return [times === 1 ? name : `${name} (${times})`, hashOf(parts)];
    }),
  };
}

/** A dot within a name would make it that of another table; whatever else it holds is told as it is. */
function part(name: string): string {
  return /[."]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name;
}

function hashOf(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 12);
}

/** Compares a backup with one before it; undefined where they leave out different things. */
export function compareBackups(before: BackupShape, after: BackupShape): BackupComparison | undefined {
  if (before.leavesOut !== after.leavesOut) return undefined;
  const [was, is] = [new Map(before.objects), new Map(after.objects)];
  const removed = before.objects.flatMap(([name]) => (is.has(name) ? [] : [`${short(name)}: removed`]));
  const added = after.objects.flatMap(([name]) => (was.has(name) ? [] : [`${short(name)}: new`]));
  const changed = after.objects.flatMap(([name, hash]) =>
    was.has(name) && was.get(name) !== hash ? [`${short(name)}: changed`] : [],
  );
  return {
    against: before.backupId,
    rowsLost: rowsLost(before.tables, new Map(after.tables)),
    schema: {
      added: added.length,
      removed: removed.length,
      changed: changed.length,
      examples: [...removed, ...changed, ...added].slice(0, mostExamples),
    },
  };
}

function rowsLost(before: BackupShape['tables'], after: ReadonlyMap<string, number>): BackupComparison['rowsLost'] {
  return before
    .flatMap(([name, rows]) => {
      const left = after.get(name) ?? 0;
      const isMuch = rows >= leastRows && rows - left >= rows * leastShare;
      return isMuch ? [{ table: short(name), before: rows, after: left }] : [];
    })
    .toSorted((one, other) => one.after / one.before - other.after / other.before)
    .slice(0, mostTables);
}

function short(name: string): string {
  return name.slice(0, mostNameLength).toWellFormed();
}
