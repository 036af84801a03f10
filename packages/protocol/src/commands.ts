import { idSchema, isUploadKey } from '@strideiq/core';
import { z } from 'zod';

const sha256Schema = z.string().regex(/^[0-9a-f]{64}$/);

/** Makes a backup. */
const backupBodySchema = z.object({
  /** Only into these; left out: into all of the database's stores. */
  storeIds: z.array(idSchema).max(50).optional(),
});

/** Reads copies of a backup back. */
const verifyBodySchema = z.object({
  backupId: idSchema,
  /** Of the dump, below each store's prefix. */
  key: z.string().min(1).max(1000),
  /** Left out: every store of the database. */
  storeIds: z.array(idSchema).max(50).optional(),
});

/**
 * How a target comes by a backup: through a store that its own file names, or by URLs that it asks for with
 * `sourceUrls`, since a presigned URL is a secret and has no place in a catalog or a journal.
 */
const sourceSchema = z.discriminatedUnion('via', [
  z.object({ via: z.literal('store'), storeId: idSchema, key: z.string().min(1).max(1000) }),
  z.object({ via: z.literal('url'), key: z.string().min(1).max(1000) }),
]);
export type RestoreSource = z.infer<typeof sourceSchema>;

/** What is restored, and by what right. */
const restored = {
  backupId: idSchema,
  /** The database that was backed up, which may be another host's. */
  sourceDatabaseId: idSchema,
  source: sourceSchema,
  /** By what the catalog knows the manifest: its hash, and the key pinned at the enrolment of the agent that made it. */
  trust: z.object({ manifestSha256: sha256Schema, publicKeyPem: z.string().max(2000) }).optional(),
};

/** Name of a new database. */
const intoSchema = z.string().min(1).max(100);

/** Restores into a new database on the server of the command's database. */
const restoreFreshBodySchema = z.object({ ...restored, into: intoSchema });

/** The same with all definitions, and the rows and indexes of some tables alone. */
const restoreTablesBodySchema = z.object({
  ...restored,
  into: intoSchema,
  /** `schema.name` */
  tables: z.array(z.string().min(1).max(300)).min(1).max(1000),
});

/** Puts the backup in the place of the command's database, which is kept under another name. */
const restoreInPlaceBodySchema = z.object({
  ...restored,
  /** The name of that database in the host's file, as whoever asks has typed it. */
  confirm: z.string().min(1).max(100),
  /** Makes no backup of the database that is replaced. */
  withoutSafetyBackup: z.literal(true).exactOptional(),
});

/** Restores into a scratch database on the server of the command's database, looks at it closely, and drops it. */
const drillBodySchema = z.object(restored);

const cancelBodySchema = z.object({ runId: idSchema });

/** Asks for URLs by which somebody else may read these objects for a while; answered by `presigned`. */
const presignBodySchema = z.object({
  storeId: idSchema,
  keys: z.array(z.string().min(1).max(1000)).min(1).max(10),
  expiresInSeconds: z.int().min(60).max(86_400),
});

const uploadKeySchema = z.string().refine(isUploadKey, 'no name of an upload');

/** Asks for a URL by which somebody else may put a dump into one of the database's stores; answered by `presigned`. */
const presignUploadBodySchema = z.object({
  storeId: idSchema,
  key: uploadKeySchema,
  /** Of the dump, to the byte. */
  sizeBytes: z.int().positive(),
  expiresInSeconds: z.int().min(60).max(86_400),
});

/** Restores what was put there into a new database on the server of the command's database. Nobody vouches for it. */
const restoreUploadBodySchema = z.object({
  storeId: idSchema,
  key: uploadKeySchema,
  into: intoSchema,
  /** Left out: all of it. */
  tables: z.array(z.string().min(1).max(300)).min(1).max(1000).exactOptional(),
});

const common = {
  commandId: idSchema,
  /** Whose connection and `allow` list it is about. */
  databaseId: idSchema,
  issuedAt: z.iso.datetime(),
  /** By the control plane's clock; past it, what was not begun is not begun any more. */
  expiresAt: z.iso.datetime(),
};
const forRun = { ...common, runId: idSchema };

/** Everything that can be asked of an agent by this version. */
export const commandSchema = z.discriminatedUnion('kind', [
  z.object({ ...forRun, kind: z.literal('backup'), body: backupBodySchema }),
  z.object({ ...forRun, kind: z.literal('verify'), body: verifyBodySchema }),
  z.object({ ...forRun, kind: z.literal('restoreFresh'), body: restoreFreshBodySchema }),
  z.object({ ...forRun, kind: z.literal('restoreTables'), body: restoreTablesBodySchema }),
  z.object({ ...forRun, kind: z.literal('restoreInPlace'), body: restoreInPlaceBodySchema }),
  z.object({ ...forRun, kind: z.literal('drill'), body: drillBodySchema }),
  z.object({ ...forRun, kind: z.literal('restoreUpload'), body: restoreUploadBodySchema }),
  z.object({ ...common, kind: z.literal('cancel'), body: cancelBodySchema }),
  z.object({ ...common, kind: z.literal('presign'), body: presignBodySchema }),
  z.object({ ...common, kind: z.literal('presignUpload'), body: presignUploadBodySchema }),
]);
export type Command = z.infer<typeof commandSchema>;
export type CommandKind = Command['kind'];
export type CommandOf<Kind extends CommandKind> = Extract<Command, { kind: Kind }>;

/** The closed list (architecture.md, "Identity, time and order"), of which this version knows `commandKinds`. */
export const commandKinds = [
  'backup',
  'verify',
  'restoreFresh',
  'restoreTables',
  'restoreInPlace',
  'drill',
  'restoreUpload',
  'cancel',
  'presign',
  'presignUpload',
] as const satisfies CommandKind[];

/** Commands that read a backup into a database, whichever and for how long. */
export const restoreKinds = [
  'restoreFresh',
  'restoreTables',
  'restoreInPlace',
  'drill',
] as const satisfies CommandKind[];
export type RestoreKind = (typeof restoreKinds)[number];

/**
 * What a host's `allow` calls the right to a command: whoever may restore an upload may put it there.
 * @param kind also of a command that this version does not know
 */
export function actionOf(kind: string): string {
  return kind === 'presignUpload' ? 'restoreUpload' : kind;
}

/** What every command of every version has: enough to acknowledge or to refuse one that is not known. */
export const commandEnvelopeSchema = z.object({
  ...common,
  kind: z.string().max(100),
  /** Of the run that it begins, where it is of such a kind. */
  runId: idSchema.exactOptional(),
  body: z.unknown(),
});
export type CommandEnvelope = z.infer<typeof commandEnvelopeSchema>;

/** An agent has written the command to its journal. What becomes of it is a report. */
export const acknowledgementSchema = z.object({ commandId: idSchema });
export type Acknowledgement = z.infer<typeof acknowledgementSchema>;
