import { v5, v7, validate } from 'uuid';
import { z } from 'zod';

/** Root of the names below, made once; changing it would orphan every databaseId and storeId in the world. */
const namespace = '7f0c2d0a-6f5e-4f0e-9a55-0b1c5a8f8e11';

/** A UUID as text, lower case. */
export const idSchema = z
  .string()
  .refine((text) => validate(text) && text === text.toLowerCase(), 'not a UUID in lower case');

/**
 * A new id (UUIDv7, RFC 9562 5.7), made where the thing begins. Ids made later sort later.
 * @param nowMs milliseconds since 1970, from the caller's clock
 */
export function newId(nowMs: number): string {
  return v7({ msecs: nowMs });
}

/**
 * Identity of a database: environment and the name in the host's file. The same pair gives the same id on every host,
 * so it survives re-enrolment, a new host and a lost state directory.
 */
export function databaseIdOf(environment: string, database: string): string {
  return v5(JSON.stringify(['database', environment, database]), namespace);
}

/**
 * The id that a request has whenever it is asked: the same caller, idempotency key and `what` give the same id. A catalog
 * that was set back and is asked again so makes the command that the agent knows already, and does not do twice.
 * @param what tells apart the ids of one request: `run`, `command`
 */
export function idFromKey(callerId: string, idempotencyKey: string, what: string): string {
  return v5(JSON.stringify(['request', callerId, idempotencyKey, what]), namespace);
}

/** Where a store keeps its objects; what its identity is derived from. */
export type StoreLocation =
  | { type: 'directory'; host: string; path: string }
  | { type: 's3'; endpoint: string; bucket: string; prefix: string };

/** Identity of a store: the same place has the same id whatever it is called locally. */
export function storeIdOf(location: StoreLocation): string {
  const parts =
    location.type === 'directory'
      ? ['directory', location.host, location.path]
      : ['s3', location.endpoint, location.bucket, location.prefix];
  return v5(JSON.stringify(parts), namespace);
}
