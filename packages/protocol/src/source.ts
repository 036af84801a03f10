import { idSchema } from '@strideiq/core';
import { z } from 'zod';

/** Asks for the URLs of a restore's source, anew as often as they expire while the run lives. */
export const sourceUrlsRequestSchema = z.object({ commandId: idSchema });
export type SourceUrlsRequest = z.infer<typeof sourceUrlsRequestSchema>;

/** URLs that anyone may read who has them; never written down. */
export const sourceUrlsSchema = z.object({
  dump: z.url(),
  manifest: z.url(),
  /** Null where the backup has no owners and grants. */
  privileges: z.url().nullable(),
  expiresAt: z.iso.datetime(),
});
export type SourceUrls = z.infer<typeof sourceUrlsSchema>;

/** An agent's answer to `presign` and `presignUpload`: a URL for each key, or why there is none. */
export const presignedSchema = z.object({
  commandId: idSchema,
  urls: z.array(z.url()).max(10).optional(),
  /** Of `presignUpload`: what the request has to bear beside them. */
  headers: z.record(z.string().max(200), z.string().max(2000)).optional(),
  error: z.object({ code: z.string().max(100), text: z.string().max(2000) }).optional(),
});
export type Presigned = z.infer<typeof presignedSchema>;
