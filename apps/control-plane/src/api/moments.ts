import { z } from 'zod';

/** On the wire every moment is text, ISO 8601 in UTC. */
export const momentSchema = z.iso.datetime();

export function moment(ms: number): string;
export function moment(ms: number | null): string | null;
export function moment(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
