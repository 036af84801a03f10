import { z } from 'zod';
import type { ControlPlaneErrorCode } from '../errors.ts';
import type { Caller } from '../keys/caller.ts';
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

/** Who asks for work. */
export interface Requester {
  keyId: string;
  environments: readonly string[] | null;
  /** The header `Idempotency-Key`: asked again by it, the answer is the same run. */
  idempotencyKey?: string | undefined;
}

export function requesterOf(ctx: ApiContext & { caller: Caller }): Requester {
  const { keyId, environments } = ctx.caller;
  return { keyId, environments, idempotencyKey: ctx.idempotencyKey };
}
