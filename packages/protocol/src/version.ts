import { z } from 'zod';

/**
 * Versions of the protocol, as whole numbers. What is on the wire is append-only within a version: keys and kinds are
 * added and never change their meaning, receivers ignore what they do not know. A step that an older side could not
 * live with takes the next number.
 */
export const protocolRangeSchema = z.object({ min: z.int().positive(), max: z.int().positive() });
export type ProtocolRange = z.infer<typeof protocolRangeSchema>;

/** What this program speaks. */
export const spokenProtocols: ProtocolRange = { min: 1, max: 1 };

/** The newest version that both sides speak, or undefined where there is none. */
export function commonProtocol(ours: ProtocolRange, theirs: ProtocolRange): number | undefined {
  const newest = Math.min(ours.max, theirs.max);
  return newest >= Math.max(ours.min, theirs.min) ? newest : undefined;
}
