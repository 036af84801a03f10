import { eq } from 'drizzle-orm';
import { recordAudit } from '../audit/audit.ts';
import type { Catalog } from '../catalog/open-catalog.ts';
import { environments } from '../catalog/schema.ts';

export interface AccessRefusal {
  /** Undefined where no key is known: absent, or none of ours. */
  keyId: string | undefined;
  procedure: string;
  code: string;
  address: string;
  /** Whose thing it was, where it is one environment's. */
  environment?: string | undefined;
}

/** One entry of the audit is enough for whoever tries the same thing again and again. */
const windowMs = 60_000;

/**
 * Writes refused calls to the audit, at most one for each caller, procedure, environment and minute. All without a known
 * key are one caller, and all environments that there are not are one: whoever has many addresses, or makes up names, must
 * not be able to fill the disk.
 */
export class AccessRefusals {
  readonly #catalog: Catalog;
  readonly #now: () => number;
  #window = 0;
  readonly #told = new Set<string>();

  constructor(catalog: Catalog, now: () => number) {
    this.#catalog = catalog;
    this.#now = now;
  }

  record({ keyId, procedure, code, address, environment }: AccessRefusal): void {
    const now = this.#now();
    const window = Math.floor(now / windowMs);
    if (window !== this.#window) this.#told.clear();
    this.#window = window;
    const actor = keyId ?? 'unknown';
    const what = JSON.stringify([actor, procedure, this.#isThere(environment) ? environment : null]);
    if (this.#told.has(what)) return;
    this.#catalog.transaction(
      (tx) =>
        recordAudit(
          tx,
          {
            actor,
            action: 'access.refused',
            subject: procedure,
            detail: { code, address },
            ...(environment === undefined ? {} : { environment }),
          },
          now,
        ),
      { behavior: 'immediate' },
    );
    this.#told.add(what);
  }

  #isThere(name: string | undefined): boolean {
    if (name === undefined) return false;
    return this.#catalog.select().from(environments).where(eq(environments.name, name)).get() !== undefined;
  }
}
