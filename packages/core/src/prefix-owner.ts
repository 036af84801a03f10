import { z } from 'zod';
import { idSchema } from './ids.ts';

/** `strideiq-owner.json`: whose prefix a store is. It is written at the first backup into it, and never replaced. */
export const prefixOwnerSchema = z.object({
  formatVersion: z.literal(1),
  storeId: idSchema,
  environment: z.string(),
  database: z.string(),
  databaseId: idSchema,
});

export type PrefixOwner = z.infer<typeof prefixOwnerSchema>;

/** Far more than it can have; whatever is longer is something else. */
export const mostPrefixOwnerBytes = 65_536;

/** @returns undefined where the bytes say nothing that can be read */
export function parsePrefixOwner(bytes: Buffer): PrefixOwner | undefined {
  try {
    return prefixOwnerSchema.safeParse(JSON.parse(bytes.toString())).data;
  } catch {
    return undefined;
  }
}
