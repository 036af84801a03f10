import { z } from 'zod';
import type { ControlPlaneErrorCode } from '../errors.ts';
import type { Caller } from '../keys/caller.ts';
import type { Requested, Requester } from '../runs/requests.ts';
import type { ApiContext } from './context.ts';

/** What starts work answers with the run, which `runs` shows. */
export const startedSchema = z.object({ runId: z.string() }).meta({ id: 'Started' });

/** What everything that starts work can be refused with. */
export const workErrors = [
  'ActionNotAllowed',
  'CommandUnsupported',
  'TooManyCommands',
  'IdempotencyKeyReused',
] as const satisfies ControlPlaneErrorCode[];

export function requesterOf({ caller, idempotencyKey }: ApiContext & { caller: Caller }): Requester {
  return { keyId: caller.keyId, ...(idempotencyKey === undefined ? {} : { idempotencyKey }) };
}

export function chosen(storeIds: string[] | undefined): { storeIds?: string[] } {
  return storeIds === undefined ? {} : { storeIds };
}

/** What callers learn of work that was taken on. */
export async function started(requested: Promise<Requested>): Promise<{ runId: string }> {
  return { runId: (await requested).runId };
}
