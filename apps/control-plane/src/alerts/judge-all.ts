import {
  judgeAgent,
  judgeCertificate,
  judgeChannel,
  judgeDatabase,
  judgeKey,
  paragraphOf,
  type Judgement,
} from '@strideiq/core';
import { and, eq, isNotNull, isNull } from 'drizzle-orm';
import { setImmediate } from 'node:timers/promises';
import { agents, databases, keys } from '../catalog/schema.ts';
import type { Log } from '../log.ts';
import type { FactsParts } from './database-facts-of.ts';
import { failingChannels } from './failing-channels.ts';
import type { RecentFacts } from './recent-facts.ts';

/** What an alert is about, for people. */
export interface AlertSubject {
  name: string;
  /** Null: the control plane's own. */
  environment: string | null;
  databaseId: string | null;
}

export interface Judged {
  judgements: Judgement[];
  /** By what judgements call them. */
  subjects: Map<string, AlertSubject>;
  /** Databases of which nothing could be said, by their ids: what was said of them before stays. */
  unjudged: Set<string>;
}

export interface JudgeParts extends FactsParts {
  facts: RecentFacts;
  log: Log;
  /** By which this control plane is known; undefined where it speaks plain HTTP. */
  certificate: { file: string; validTo: number } | undefined;
  /** Names of the channels that there are. */
  channels: readonly string[];
}

/** Databases that are judged before others have their turn: SQLite holds up everyone while it reads. */
const atOnce = 10;

/** What rules say now of everything that there is. */
export async function judgeAll(parts: JudgeParts, now: () => number): Promise<Judged> {
  const { catalog } = parts;
  const judged: Judged = { judgements: [], subjects: new Map(), unjudged: new Set() };
  const rows = catalog.select().from(databases).where(eq(databases.declared, true)).all();
  for (const [at, row] of rows.entries()) {
    if (row.gone) continue;
    try {
      judgeOne(parts, judged, row, now());
    } catch (error) {
      // One that cannot be read keeps no other from being judged.
      judged.unjudged.add(row.id);
      parts.log.error({ err: error, databaseId: row.id }, `rules could not judge ${row.name}: ${paragraphOf(error)}`);
    }
    if (at % atOnce === atOnce - 1) await setImmediate();
  }
  judgeAgents(parts, judged, now());
  judgeOwn(parts, judged, now());
  return judged;
}

function judgeOne(parts: JudgeParts, judged: Judged, row: typeof databases.$inferSelect, now: number): void {
  const facts = parts.facts.of(parts, row, now);
  const about = { environment: row.environment, databaseId: row.id };
  judged.subjects.set(`database:${row.id}`, { ...about, name: row.name });
  for (const store of facts.stores)
    judged.subjects.set(`store:${store.id}`, { ...about, name: `${row.name} in ${store.name}` });
  judged.judgements.push(...judgeDatabase(facts, now));
}

/** Those that look after something, and whose credential is good. */
function judgeAgents({ catalog, connections }: JudgeParts, judged: Judged, now: number): void {
  const rows = catalog.select().from(agents).where(isNotNull(agents.credentialHash)).all();
  const busy = new Set(
    catalog
      .selectDistinct({ id: databases.agentId })
      .from(databases)
      .where(eq(databases.declared, true))
      .all()
      .map(({ id }) => id),
  );
  for (const { id, hostname, environment, lastSeenAt } of rows) {
    if (!busy.has(id)) continue;
    const live = connections.stateOf(id);
    const facts = { id, hostname, isConnected: live !== undefined, lastSeenAt, clockOffsetMs: live?.clockOffsetMs };
    judged.subjects.set(`agent:${id}`, { name: hostname, environment, databaseId: null });
    judged.judgements.push(...judgeAgent(facts, now));
  }
}

/** What is about the control plane itself. */
function judgeOwn({ catalog, certificate, channels }: JudgeParts, judged: Judged, now: number): void {
  const own = (subject: string, name: string) =>
    judged.subjects.set(subject, { name, environment: null, databaseId: null });
  const good = catalog
    .select()
    .from(keys)
    .where(and(isNull(keys.revokedAt), isNotNull(keys.expiresAt)))
    .all();
  for (const key of good) {
    own(`key:${key.id}`, key.name);
    judged.judgements.push(judgeKey(key, now));
  }
  if (certificate) {
    own('system:certificate', certificate.file);
    judged.judgements.push(judgeCertificate(certificate, now));
  }
  const failing = failingChannels(catalog, now);
  for (const name of channels) {
    own(`channel:${name}`, name);
    judged.judgements.push(judgeChannel({ name, failing: failing.get(name) }));
  }
}
