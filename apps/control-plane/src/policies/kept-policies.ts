import { foreignPolicySchema, policyProblems, type Policy } from '@strideiq/core';
import { and, desc, eq } from 'drizzle-orm';
import { isDeepStrictEqual } from 'node:util';
import { recordAudit } from '../audit/audit.ts';
import type { CatalogTransaction } from '../catalog/open-catalog.ts';
import { databases, policies, stores } from '../catalog/schema.ts';
import type { CatalogReader } from '../copies/backup-copies.ts';
import { ControlPlaneError } from '../errors.ts';
import { commit, type NewsParts } from '../runs/news.ts';

export type PolicyRow = typeof policies.$inferSelect;

/** The policy of a database that is in force; undefined before its first hello, and where its host's file held none. */
export function policyInForce(tx: CatalogReader, databaseId: string): PolicyRow | undefined {
  return tx
    .select()
    .from(policies)
    .where(eq(policies.databaseId, databaseId))
    .orderBy(desc(policies.version))
    .limit(1)
    .get();
}

/**
 * The first policy of a database is what its host's file says. After that the file is not asked any more: whoever has fallen
 * with a host must not shorten what is kept in the bucket.
 * @returns why there is none, where what the file says cannot be read
 */
export function seedPolicy(
  tx: CatalogTransaction,
  { databaseId, agentId, seed }: { databaseId: string; agentId: string; seed: Record<string, unknown> },
  now: number,
): string | undefined {
  if (policyInForce(tx, databaseId)) return undefined;
  const { data: policy, error } = foreignPolicySchema.safeParse(seed);
  if (!policy)
    return `What its file says of schedule and retention cannot be read: ${wordsOf(error)}. None is kept of it here.`;
  tx.insert(policies)
    .values({ databaseId, version: 1, policy, changedAt: now, changedBy: `agent:${agentId}` })
    .run();
  const { environment } = tx.select().from(databases).where(eq(databases.id, databaseId)).get() ?? {};
  const entry = {
    actor: `agent:${agentId}`,
    action: 'policy.seed',
    subject: databaseId,
    detail: { version: 1, policy },
  };
  recordAudit(tx, environment === undefined ? entry : { ...entry, environment }, now);
  return undefined;
}

export interface PolicyChange {
  databaseId: string;
  policy: Policy;
  /** The version that whoever asks has seen; left out: whatever it is. */
  after?: number | undefined;
  /** An API key's id. */
  actor: string;
}

/**
 * Puts a new version in force, and tells the agent. One that is the same as the last makes none.
 * @throws ControlPlaneError `NotFound`; `InputInvalid` where it does not fit the database; `PolicyChanged` where somebody
 *   was quicker
 */
export function changePolicy(
  parts: NewsParts & { now: () => number },
  { databaseId, policy, after, actor }: PolicyChange,
): void {
  commit(parts, (tx, news) => {
    const database = tx.select().from(databases).where(eq(databases.id, databaseId)).get();
    if (!database) throw new ControlPlaneError('NotFound', `There is no database ${databaseId}.`);
    const before = policyInForce(tx, databaseId);
    if (after !== undefined && after !== (before?.version ?? 0)) throw changedMeanwhile(database.name, after, before);
    if (before && isDeepStrictEqual(plain(before.policy), plain(policy))) return;
    const problems = policyProblems(policy, namesOfStores(tx, databaseId));
    if (problems.length > 0) {
      const cure = 'Nothing was changed. Name stores as the host’s file does; it is shown with the database.';
      throw new ControlPlaneError('InputInvalid', problems.join(' '), cure);
    }
    // Above what the agent goes by already, should this catalog be an older one.
    const version = Math.max(before?.version ?? 0, database.runsPolicy ?? 0) + 1;
    tx.insert(policies).values({ databaseId, version, policy, changedAt: parts.now(), changedBy: actor }).run();
    const { environment, agentId } = database;
    const detail = { version, policy };
    recordAudit(tx, { actor, action: 'policy.change', environment, subject: databaseId, detail }, parts.now());
    news.toBeSent(agentId);
  });
}

/** What the host's file says now, as a policy. @throws ControlPlaneError `NotFound`, `InputInvalid` */
export function policyOfFile(tx: CatalogReader, databaseId: string): Policy {
  const row = tx.select().from(databases).where(eq(databases.id, databaseId)).get();
  if (!row) throw new ControlPlaneError('NotFound', `There is no database ${databaseId}.`);
  const { data, error } = foreignPolicySchema.safeParse(row.policy);
  if (data) return data;
  throw new ControlPlaneError(
    'InputInvalid',
    `What the host's file says of ${row.name} cannot be read: ${wordsOf(error)}.`,
    'Put the file right and restart its agent; the policy is as it was.',
  );
}

/** The agent has told by what it works. */
export function notePolicyOfAgent(
  tx: CatalogReader & Pick<CatalogTransaction, 'update'>,
  said: { databaseId: string; agentId: string; version: number | null },
): void {
  const { databaseId, agentId, version } = said;
  const own = and(eq(databases.id, databaseId), eq(databases.agentId, agentId));
  const known = tx.select({ runsPolicy: databases.runsPolicy }).from(databases).where(own).get();
  if (known && known.runsPolicy !== version) tx.update(databases).set({ runsPolicy: version }).where(own).run();
}

/** Those that the host's file names now. */
export function namesOfStores(tx: CatalogReader, databaseId: string): string[] {
  const own = and(eq(stores.databaseId, databaseId), eq(stores.declared, true));
  return tx
    .select({ name: stores.name })
    .from(stores)
    .where(own)
    .all()
    .map(({ name }) => name);
}

/** As it stands in the catalog: keys without a value are none. */
function plain(policy: Policy): unknown {
  return JSON.parse(JSON.stringify(policy));
}

function wordsOf(error: { issues: { path: PropertyKey[]; message: string }[] }): string {
  return error.issues.map(({ path, message }) => `${path.map(String).join('.')} ${message}`).join('; ');
}

function changedMeanwhile(name: string, after: number, before: PolicyRow | undefined): ControlPlaneError {
  return new ControlPlaneError(
    'PolicyChanged',
    `The policy of ${name} is version ${before?.version ?? 0} by now, and not ${after}: somebody has changed it.`,
    'Look at it again, and then say what is to be different.',
  );
}
