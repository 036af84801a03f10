import type { Role } from '../catalog/schema.ts';
import { roles } from '../catalog/schema.ts';

/** Who asks: an API key, by what it may do. */
export interface Caller {
  keyId: string;
  /** As its maker called it. */
  name: string;
  role: Role;
  /** Null: all, also those to come. */
  environments: readonly string[] | null;
  /** Milliseconds since 1970; null where it does not end by itself. */
  expiresAt: number | null;
}

/** viewer < operator < admin. */
export function mayAct(caller: Caller, needed: Role): boolean {
  return roles.indexOf(caller.role) >= roles.indexOf(needed);
}

/** Whether the caller's key reaches all of these; `all` stands for every environment, also those to come. */
export function mayReach(caller: Caller, environments: readonly string[] | 'all'): boolean {
  if (caller.environments === null) return true;
  return environments !== 'all' && environments.every((name) => caller.environments?.includes(name));
}
