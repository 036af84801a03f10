import { backupShapeSchema, compareBackups, type BackupComparison, type BackupShape } from '@strideiq/core';
import { and, eq, ne } from 'drizzle-orm';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { JournalDatabase } from './open-journal.ts';
import { runs, shapes, type Run } from './schema.ts';

/** What the last good backup of each database is made of, so that the next one can be compared with it. */
export class ShapeBook {
  readonly #db: JournalDatabase;

  constructor(db: JournalDatabase) {
    this.#db = db;
  }

  /** With the last good one; undefined where there is none, or nothing to compare. */
  compare(databaseId: string, shape: BackupShape): BackupComparison | undefined {
    const row = this.#db
      .select({ shape: shapes.shape })
      .from(shapes)
      .innerJoin(runs, eq(runs.id, shapes.runId))
      .where(and(eq(shapes.databaseId, databaseId), eq(runs.state, 'succeeded')))
      .get();
    const before = row && readShape(row.shape);
    return before && compareBackups(before, shape);
  }

  /** Of a backup that is not stored yet. */
  keep(runId: string, databaseId: string, shape: BackupShape): void {
    this.#db
      .insert(shapes)
      .values({ runId, databaseId, shape: gzipSync(JSON.stringify(shape)) })
      .run();
  }

  /** A good backup takes the place of the one before it; a bad one is nothing to compare with. */
  ended({ id, databaseId }: Run, isGood: boolean): void {
    const own = eq(shapes.runId, id);
    if (!isGood) this.#db.delete(shapes).where(own).run();
    else if (this.#db.select({ id: shapes.runId }).from(shapes).where(own).get())
      this.#db
        .delete(shapes)
        .where(and(eq(shapes.databaseId, databaseId), ne(shapes.runId, id)))
        .run();
  }
}

/** One that cannot be read is none: no backup fails for the one before it. */
function readShape(bytes: Buffer): BackupShape | undefined {
  try {
    return backupShapeSchema.parse(JSON.parse(gunzipSync(bytes).toString()));
  } catch {
    return undefined;
  }
}
