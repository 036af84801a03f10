import { z } from 'zod';
import { CoreError } from './errors.ts';
import { idSchema } from './ids.ts';
import { inventorySchema } from './inventory.ts';
import { signatureSchema } from './signature.ts';

const sha256Schema = z.string().regex(/^[0-9a-f]{64}$/);
const bytesSchema = z.int().nonnegative();
const momentSchema = z.iso.datetime();

/**
 * A list whose entries are checked one by one and kept as they are, unknown keys included: zod's own list holds a copy of
 * each, beside hundreds of thousands of chunks.
 */
function listOf<Entry>(entrySchema: z.ZodType<Entry>): z.ZodType<Entry[]> {
  return z.custom<Entry[]>().superRefine((list: unknown, context) => {
    if (!Array.isArray(list)) return context.addIssue('not a list');
    for (const [at, entry] of list.entries()) {
      const [issue] = entrySchema.safeParse(entry).error?.issues ?? [];
      if (issue) return context.addIssue({ code: 'custom', path: [at, ...issue.path], message: issue.message });
    }
  });
}

/** Where in the dump something stands; the order in which a plain dump is run. */
export const sectionSchema = z.enum(['pre-data', 'data', 'post-data']);
export type Section = z.infer<typeof sectionSchema>;

/**
 * A self-contained stretch of the object: whole gzip members holding whole statements. A table's rows may be spread
 * over many chunks, each with its own `COPY … FROM stdin` and `\.`; small tables share a chunk.
 */
export const chunkSchema = z.object({
  section: sectionSchema,
  /** First byte in the object. */
  offset: bytesSchema,
  /** Compressed bytes in the object. */
  length: bytesSchema,
  /** Bytes of SQL once decompressed. */
  rawLength: bytesSchema,
  /** Of the compressed bytes. */
  sha256: sha256Schema,
  /** Rows by table, `table` being the place in the manifest's `tables`. Absent where no COPY stands in the chunk. */
  rows: z.array(z.object({ table: z.int().nonnegative(), rows: bytesSchema })).optional(),
});
export type Chunk = z.infer<typeof chunkSchema>;

/** Exact rows of a table, counted from the stream. */
export const tableRowsSchema = z.object({ schema: z.string(), name: z.string(), rows: bytesSchema });
export type TableRows = z.infer<typeof tableRowsSchema>;

/** It is shown in commands for people to run. */
const sidecarNameSchema = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*\.sql\.gz$/);

/** Everything known of a backup: enough to rebuild the catalog, plan a restore, and judge it afterwards. */
export const manifestSchema = z.object({
  formatVersion: z.literal(1),
  backupId: idSchema,
  runId: idSchema,
  environment: z.string(),
  /** Name in the host's file; the name on the server is `source.database`. */
  database: z.string(),
  databaseId: idSchema,
  /** The stores the backup was made for; which of them hold it is each copy's own state. */
  storeIds: z.array(idSchema),
  agent: z.object({ version: z.string(), hostname: z.string() }),
  source: z.object({
    database: z.string(),
    serverVersion: z.string(),
    /** As `server_version_num`, 150018. */
    serverVersionNumber: z.int(),
    pgDumpVersion: z.string(),
    encoding: z.string(),
    collate: z.string(),
    ctype: z.string(),
    /** `c`, `i`, `b` as in `pg_database.datlocprovider`. */
    localeProvider: z.string(),
    icuLocale: z.string().nullable(),
    standby: z.boolean(),
    databaseBytes: bytesSchema,
    indexBytes: bytesSchema,
    /** `default_toast_compression`, which decides how long a restore compresses; absent before PostgreSQL 14. */
    toastCompression: z.string().optional(),
  }),
  snapshot: z.object({
    takenAt: momentSchema,
    /** `pg_current_wal_lsn()` at the snapshot, or the replayed one on a standby. */
    walPosition: z.string(),
  }),
  startedAt: momentSchema,
  finishedAt: momentSchema,
  dumpOptions: z.object({
    compressionLevel: z.int(),
    jobs: z.int(),
    excludeTables: z.array(z.string()),
    excludeTableData: z.array(z.string()),
  }),
  object: z.object({ name: z.string(), bytes: bytesSchema, rawBytes: bytesSchema, sha256: sha256Schema }),
  privileges: z.object({ name: sidecarNameSchema, bytes: bytesSchema, sha256: sha256Schema }).nullable(),
  /**
   * What belongs to the whole server: roles with their settings, tablespaces, grants on parameters. Null where it could
   * not be read; absent in backups of agents that did not make it yet.
   */
  globals: z
    .object({
      name: sidecarNameSchema,
      bytes: bytesSchema,
      sha256: sha256Schema,
      /** Whether it holds the password hashes of all roles. */
      rolePasswords: z.boolean(),
    })
    .nullable()
    .optional(),
  chunks: listOf(chunkSchema),
  tables: listOf(tableRowsSchema),
  /** `lastValue` as text, since it may pass 2^53; with `isCalled` false it is the one that is handed out next. */
  sequences: z.array(
    z.object({
      schema: z.string(),
      name: z.string(),
      lastValue: z.string().nullable(),
      isCalled: z.boolean().optional(),
    }),
  ),
  extensions: z.array(z.object({ name: z.string(), version: z.string() })),
  /** Roles that must exist before the dump is run: policies name them. */
  roles: z.array(z.string()),
  inventory: listOf(inventorySchema.element),
  /** Objects of the dump that hold a password, such as user mappings. */
  passwordsIn: z.array(z.string()),
  encryption: z.object({ recipients: z.array(z.string()) }).nullable(),
  /** Made just before its database was to be replaced: nobody who asks for the latest means this one. */
  safety: z.boolean().optional(),
  /**
   * Of a dump that no agent made, and that a host has taken into its care: what it knows of it is what it has read. It has no
   * chunks, and nobody vouches for its SQL, signed though its manifest is.
   */
  adopted: z.object({ at: momentSchema }).optional(),
  signature: signatureSchema.optional(),
});
export type Manifest = z.infer<typeof manifestSchema>;

/** A manifest as read, and the JSON it was read from, which is what its signature covers; they share their long lists. */
export interface ReadManifest {
  manifest: Manifest;
  json: unknown;
}

/**
 * Reads a manifest's text. Keys it does not know are ignored, so that newer agents' manifests still read.
 * @throws CoreError `ManifestInvalid` as `checkManifest`
 */
export function parseManifest(text: string, name: string): ReadManifest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new CoreError('ManifestInvalid', `${name} is not JSON: ${(cause as Error).message}.`, cure, { cause });
  }
  return { manifest: checkManifest(json, name), json };
}

/**
 * The manifest in JSON that was read, or in an object about to be written. Long lists are shared with it, not copied.
 * @throws CoreError `ManifestInvalid` naming the first place that is wrong, or in which way it contradicts itself
 */
export function checkManifest(json: unknown, name: string): Manifest {
  const version = z.object({ formatVersion: z.number() }).safeParse(json);
  if (version.success && version.data.formatVersion !== 1) {
    throw new CoreError(
      'ManifestInvalid',
      `${name} has format version ${version.data.formatVersion}; this program reads version 1.`,
      'Use a newer strideiq-agent, or restore the .sql.gz with gunzip and psql as RECOVER.txt says.',
    );
  }
  const parsed = manifestSchema.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new CoreError(
      'ManifestInvalid',
      `${name} is no manifest: ${issue?.path.join('.')}: ${issue?.message}.`,
      cure,
    );
  }
  const problem = inconsistency(parsed.data);
  if (problem) throw new CoreError('ManifestInvalid', `${name} contradicts itself: ${problem}.`, cure);
  return parsed.data;
}

const cure =
  'The .sql.gz beside it may still be whole: `strideiq-agent verify` it by its path, and take another backup soon.';

/** A well-formed manifest can still not add up; undefined where it does. */
function inconsistency(manifest: Manifest): string | undefined {
  if (manifest.adopted) return manifest.chunks.length > 0 ? 'it was adopted, and names chunks' : undefined;
  let end = 0;
  let rawEnd = 0;
  const counted = manifest.tables.map(() => 0);
  for (const [at, chunk] of manifest.chunks.entries()) {
    if (chunk.offset !== end) return `chunk ${at} begins at ${chunk.offset} where the one before ends at ${end}`;
    end += chunk.length;
    rawEnd += chunk.rawLength;
    for (const { table, rows } of chunk.rows ?? []) {
      if (table >= counted.length) return `chunk ${at} names table ${table} of ${counted.length}`;
      counted[table] = (counted[table] ?? 0) + rows;
    }
  }
  if (end !== manifest.object.bytes) return `chunks end at ${end} of ${manifest.object.bytes} bytes`;
  if (rawEnd !== manifest.object.rawBytes) return `chunks hold ${rawEnd} of ${manifest.object.rawBytes} bytes of SQL`;
  const wrong = manifest.tables.find((table, at) => table.rows !== counted[at]);
  if (wrong) return `the chunks' rows of ${wrong.schema}.${wrong.name} do not add up to ${wrong.rows}`;
  return undefined;
}
