import { z } from 'zod';
import { roles } from '../catalog/schema.ts';
import type { KeyRow } from '../keys/api-keys.ts';
import { moment, momentSchema } from './moments.ts';

export const keySchema = z
  .object({
    id: z.string(),
    name: z.string(),
    role: z.enum(roles),
    environments: z.array(z.string()).nullable().describe('Null: all, also those to come.'),
    createdAt: momentSchema,
    createdBy: z.string().describe('A key’s id, or `local`.'),
    expiresAt: momentSchema.nullable(),
    revokedAt: momentSchema.nullable(),
    lastUsedAt: momentSchema.nullable().describe('To the minute.'),
  })
  .meta({ id: 'Key' });
export type Key = z.infer<typeof keySchema>;

export function keyOf(row: KeyRow): Key {
  return {
    id: row.id,
    name: row.name,
    role: row.role,
    environments: row.environments,
    createdAt: moment(row.createdAt),
    createdBy: row.createdBy,
    expiresAt: moment(row.expiresAt),
    revokedAt: moment(row.revokedAt),
    lastUsedAt: moment(row.lastUsedAt),
  };
}
