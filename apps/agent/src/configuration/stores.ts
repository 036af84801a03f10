import { s3CredentialsSchema, textSchema } from '@strideiq/configuration';
import { z } from 'zod';

/** What path and prefix may hold, and what stands for it. */
export const placeholders = ['environment', 'database'] as const;

const placeText = 'May hold {environment} and {database}, and must hold {database} once a store serves two databases.';

const directorySchema = z.strictObject({
  type: z.literal('directory').describe('A directory on this host or mounted on it.'),
  path: textSchema.describe(`The directory. Relative to the configuration file's own. ${placeText}`),
});

/** Classes that must be thawed before they can be read: a backup there can be neither verified nor restored in time. */
const frozen = new Set(['GLACIER', 'DEEP_ARCHIVE']);

const s3Schema = z.strictObject({
  type: z.literal('s3').describe('A bucket of Amazon S3 or of a server that speaks its protocol.'),
  bucket: z
    .string()
    .regex(
      /^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$/,
      'must be a bucket by its name alone, without s3:// or a path',
    )
    .describe("The bucket's name."),
  prefix: z
    .string()
    .transform((prefix) => prefix.replace(/^\/+/, '').replace(/([^/])\/*$/, '$1/'))
    .prefault('')
    .describe(`What keys begin with. A slash is added at its end where it lacks one. ${placeText}`),
  region: textSchema
    .optional()
    .describe(
      'Region, such as eu-west-1. Left out: AWS_REGION or the profile’s; us-east-1 where an endpoint is given.',
    ),
  endpoint: z
    .url({ protocol: /^https?$/, error: 'must be a URL that begins with https:// or http://' })
    .optional()
    .describe('Address of a server other than Amazon S3.'),
  forcePathStyle: z
    .boolean()
    .optional()
    .describe('Bucket in the path instead of the host name. Left out: true once an endpoint is given.'),
  sse: z
    .enum(['AES256', 'aws:kms', 'aws:kms:dsse'])
    .optional()
    .describe('Server-side encryption asked for each object.'),
  sseKmsKeyId: textSchema.optional().describe('KMS key for sse aws:kms. Left out: the default key of the account.'),
  storageClass: z
    .string()
    .regex(/^[A-Z][A-Z0-9_]*$/, 'must be a storage class as S3 names it, such as STANDARD_IA')
    .refine((name) => !frozen.has(name), 'is a class that cannot be read back at once; use GLACIER_IR or STANDARD_IA')
    .optional()
    .describe('Storage class of each object. Classes that must be thawed before reading are refused.'),
  objectLock: z
    .strictObject({
      mode: z.enum(['GOVERNANCE', 'COMPLIANCE']).describe('COMPLIANCE cannot be lifted by anyone.'),
      days: z.int().min(1).max(36_500).describe('Days for which each object can be neither deleted nor overwritten.'),
    })
    .optional()
    .describe('Object Lock put on each object; the bucket must have it enabled.'),
  credentials: s3CredentialsSchema.optional(),
});

export const storeSchema = z.discriminatedUnion('type', [directorySchema, s3Schema]);

export type DirectoryStoreConfiguration = z.output<typeof directorySchema>;
export type S3StoreConfiguration = z.output<typeof s3Schema>;

/** Where backups are kept, as the host's file says; path and prefix may still hold placeholders. */
export type StoreConfiguration = DirectoryStoreConfiguration | S3StoreConfiguration;

/** A store as one database uses it: its local name, and no placeholder left. */
export type PlacedStore = StoreConfiguration & { name: string };

/** Puts environment and database where the placeholders stand. */
export function fillPlace(text: string, environment: string, database: string): string {
  return text.replaceAll('{environment}', environment).replaceAll('{database}', database);
}

/** The store `name` with its path or prefix as `database` uses it. */
export function placeStore(
  name: string,
  store: StoreConfiguration,
  environment: string,
  database: string,
): PlacedStore {
  return store.type === 'directory'
    ? { ...store, name, path: fillPlace(store.path, environment, database) }
    : { ...store, name, prefix: fillPlace(store.prefix, environment, database) };
}
