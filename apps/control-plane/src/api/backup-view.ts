import { copyStates } from '@strideiq/core';
import { asc, eq, inArray } from 'drizzle-orm';
import { z } from 'zod';
import type { Catalog } from '../catalog/open-catalog.ts';
import { backups, copies, databases, pins, stores } from '../catalog/schema.ts';
import { moment, momentSchema } from './moments.ts';

export const copySchema = z
  .object({
    storeId: z.string(),
    store: z.string().describe('As the host calls the store.'),
    storeType: z.enum(['directory', 's3']),
    location: z.string(),
    key: z.string().describe('Of the dump, below the store’s prefix.'),
    state: z.enum(copyStates.all),
    sizeBytes: z.number().nullable(),
    verifiedAt: momentSchema.nullable(),
    error: z.object({ code: z.string(), text: z.string() }).nullable(),
    since: momentSchema.describe('Since when it is in this state, by the host’s clock.'),
    changedAt: momentSchema.describe('When the control plane heard of it last, by its own clock.'),
  })
  .meta({ id: 'Copy' });
export type Copy = z.infer<typeof copySchema>;

export const backupSchema = z
  .object({
    id: z.string(),
    databaseId: z.string(),
    environment: z.string(),
    database: z.string(),
    agentId: z.string().describe('The agent that made it.'),
    runId: z.string(),
    state: z.enum(['running', 'succeeded', 'failed']),
    objectName: z.string(),
    bytes: z.number().describe('Of the dump, compressed.'),
    rawBytes: z.number().describe('Of the dump as SQL.'),
    sha256: z.string(),
    rows: z.number(),
    tables: z.number(),
    snapshotAt: momentSchema.nullable().describe('The moment that its data are of, by the host’s clock.'),
    finishedAt: momentSchema.describe('By the host’s clock.'),
    recordedAt: momentSchema.describe('By the control plane’s clock.'),
    serverVersion: z.string(),
    pgDumpVersion: z.string(),
    databaseBytes: z.number(),
    hasPrivileges: z.boolean(),
    pin: z
      .object({ reason: z.string(), until: momentSchema.nullable(), createdAt: momentSchema, createdBy: z.string() })
      .nullable()
      .describe('Why somebody wants it kept, whatever the policy says.'),
    copies: z.array(copySchema),
  })
  .meta({ id: 'Backup' });
export type Backup = z.infer<typeof backupSchema>;

interface BackupRow {
  backup: typeof backups.$inferSelect;
  database: typeof databases.$inferSelect;
}

/** These backups with their copies, in the order given. */
export function backupsOf(catalog: Catalog, rows: readonly BackupRow[]): Backup[] {
  const byBackup = Map.groupBy(
    catalog
      .select({ copy: copies, store: stores })
      .from(copies)
      .innerJoin(stores, eq(stores.id, copies.storeId))
      .where(
        inArray(
          copies.backupId,
          rows.map(({ backup }) => backup.id),
        ),
      )
      .orderBy(asc(stores.name), asc(stores.id))
      .all(),
    ({ copy }) => copy.backupId,
  );
  const pinned = pinsOf(
    catalog,
    rows.map(({ backup }) => backup.id),
  );
  return rows.map(({ backup, database }) => ({
    id: backup.id,
    databaseId: backup.databaseId,
    environment: database.environment,
    database: database.name,
    agentId: backup.agentId,
    runId: backup.runId,
    state: backup.state,
    objectName: backup.objectName,
    bytes: backup.bytes,
    rawBytes: backup.rawBytes,
    sha256: backup.sha256,
    rows: backup.rows,
    tables: backup.tables,
    snapshotAt: moment(backup.hostSnapshotAt),
    finishedAt: moment(backup.hostFinishedAt),
    recordedAt: moment(backup.recordedAt),
    serverVersion: backup.serverVersion,
    pgDumpVersion: backup.pgDumpVersion,
    databaseBytes: backup.databaseBytes,
    hasPrivileges: backup.hasPrivileges,
    pin: pinned.get(backup.id) ?? null,
    copies: (byBackup.get(backup.id) ?? []).map(copyOf),
  }));
}

function pinsOf(catalog: Catalog, backupIds: readonly string[]): Map<string, NonNullable<Backup['pin']>> {
  const rows = catalog
    .select()
    .from(pins)
    .where(inArray(pins.backupId, [...backupIds]))
    .all();
  return new Map(
    rows.map(({ backupId, reason, until, createdAt, createdBy }) => {
      return [backupId, { reason, until: moment(until), createdAt: moment(createdAt), createdBy }];
    }),
  );
}

function copyOf({ copy, store }: { copy: typeof copies.$inferSelect; store: typeof stores.$inferSelect }): Copy {
  return {
    storeId: copy.storeId,
    store: store.name,
    storeType: store.type,
    location: store.location,
    key: copy.key,
    state: copy.state,
    sizeBytes: copy.sizeBytes,
    verifiedAt: moment(copy.verifiedAt),
    error: copy.errorCode === null ? null : { code: copy.errorCode, text: copy.error ?? '' },
    since: moment(copy.hostSince ?? copy.changedAt),
    changedAt: moment(copy.changedAt),
  };
}
