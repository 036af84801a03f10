import { newId } from '@strideiq/core';
import { and, desc, eq, isNull } from 'drizzle-orm';
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { recordAudit } from '../audit/audit.ts';
import type { Catalog } from '../catalog/open-catalog.ts';
import { keys, type Role } from '../catalog/schema.ts';
import { ControlPlaneError } from '../errors.ts';
import type { Caller } from './caller.ts';

export type KeyRow = typeof keys.$inferSelect;

/** Who asks, or why nobody does. */
export type Asking =
  | { caller: Caller; keyId: string; refusal?: undefined }
  | { caller?: undefined; keyId: string | undefined; refusal: ControlPlaneError };

export interface NewKey {
  name: string;
  role: Role;
  /** Null: all. */
  environments: readonly string[] | null;
  /** Milliseconds since 1970; null: until it is revoked. */
  expiresAt: number | null;
}

/** What every key looks like. */
export const keyForm = /^siq_[\w-]{43}$/;
const minuteMs = 60_000;

/** API keys: 256 random bits that are shown once; the catalog holds their SHA-256. */
export class ApiKeys {
  readonly #catalog: Catalog;
  readonly #now: () => number;

  constructor(catalog: Catalog, now: () => number) {
    this.#catalog = catalog;
    this.#now = now;
  }

  /** Looked up at each request, so that a revocation holds from the next one on. */
  authenticate(authorization: string | undefined): Asking {
    const key = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
    if (authorization === undefined) return { keyId: undefined, refusal: keyMissing() };
    if (key === undefined || !keyForm.test(key)) return { keyId: undefined, refusal: noKey() };
    const hash = hashOf(key);
    const row = this.#catalog.select().from(keys).where(eq(keys.hash, hash)).get();
    if (row === undefined || !sameHash(row.hash, hash)) return { keyId: undefined, refusal: noKey() };
    const now = this.#now();
    const why = row.revokedAt !== null ? 'was revoked' : (row.expiresAt ?? Infinity) <= now ? 'has expired' : undefined;
    if (why !== undefined) return { keyId: row.id, refusal: keyOver(row.name, why) };
    this.#noteUse(row, now);
    const { id: keyId, name, role, environments, expiresAt } = row;
    return { keyId, caller: { keyId, name, role, environments, expiresAt } };
  }

  /**
   * Makes a key; its text is in the answer alone.
   * @param actor for the audit: a key's id, or `local`
   */
  create(asked: NewKey, actor: string): { key: string; row: KeyRow } {
    const key = newKeyText();
    return { key, row: this.register(key, asked, actor) };
  }

  /** Takes on a key whose text somebody has already. */
  register(key: string, { name, role, environments, expiresAt }: NewKey, actor: string): KeyRow {
    const now = this.#now();
    const values = {
      id: newId(now),
      name,
      hash: hashOf(key),
      role,
      environments: environments === null ? null : [...environments],
      createdAt: now,
      createdBy: actor,
      expiresAt,
    };
    return this.#catalog.transaction(
      (tx) => {
        // It goes over the wire as it stands here, and there every moment is text.
        const ends = expiresAt === null ? null : new Date(expiresAt).toISOString();
        const detail = { name, role, environments, expiresAt: ends };
        recordAudit(tx, { actor, action: 'key.create', subject: values.id, detail, ...oneOf(environments) }, now);
        return tx.insert(keys).values(values).returning().get();
      },
      { behavior: 'immediate' },
    );
  }

  /** All of them, the newest first. */
  list(): KeyRow[] {
    return this.#catalog.select().from(keys).orderBy(desc(keys.createdAt), desc(keys.id)).all();
  }

  /**
   * Takes a key out of use; again, it changes nothing.
   * @throws ControlPlaneError `NotFound`
   */
  revoke(keyId: string, actor: string): KeyRow {
    const now = this.#now();
    return this.#catalog.transaction(
      (tx) => {
        const before = tx.select().from(keys).where(eq(keys.id, keyId)).get();
        if (before === undefined) throw noSuchKey(keyId);
        if (before.revokedAt !== null) return before;
        recordAudit(
          tx,
          {
            actor,
            action: 'key.revoke',
            subject: keyId,
            detail: { name: before.name },
            ...oneOf(before.environments),
          },
          now,
        );
        return tx
          .update(keys)
          .set({ revokedAt: now })
          .where(and(eq(keys.id, keyId), isNull(keys.revokedAt)))
          .returning()
          .get();
      },
      { behavior: 'immediate' },
    );
  }

  /** To the minute: a write for each request would be the most of what the disk does. */
  #noteUse({ id, lastUsedAt }: KeyRow, now: number): void {
    const minute = Math.floor(now / minuteMs) * minuteMs;
    if (lastUsedAt !== null && lastUsedAt >= minute) return;
    try {
      this.#catalog.update(keys).set({ lastUsedAt: minute }).where(eq(keys.id, id)).run();
    } catch {
      // On a full disk who asks must still be answered; `/readyz` tells of the disk.
    }
  }
}

/** Where a key is for one environment, its entries in the audit are that one's. */
function oneOf(environments: readonly string[] | null): { environment?: string } {
  const [only, second] = environments ?? [];
  return only !== undefined && second === undefined ? { environment: only } : {};
}

/** 256 random bits. */
export function newKeyText(): string {
  return `siq_${randomBytes(32).toString('base64url')}`;
}

function hashOf(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

function sameHash(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}

function keyMissing(): ControlPlaneError {
  return new ControlPlaneError(
    'KeyMissing',
    'No API key came with this.',
    'Send one as `Authorization: Bearer siq_…`; the first one is in admin.key in the data directory of the control plane.',
  );
}

function noKey(): ControlPlaneError {
  return new ControlPlaneError('KeyInvalid', 'There is no such API key.', 'Check it, or have an admin make one.');
}

function keyOver(name: string, why: string): ControlPlaneError {
  return new ControlPlaneError('KeyInvalid', `The key ${name} ${why}.`, 'Have an admin make a new one.');
}

function noSuchKey(keyId: string): ControlPlaneError {
  return new ControlPlaneError('NotFound', `There is no key ${keyId}.`, '`strideiq keys` lists them.');
}
