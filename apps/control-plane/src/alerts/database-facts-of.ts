import {
  fixedNames,
  foreignPolicySchema,
  median,
  policySchema,
  type DatabaseFacts,
  type EndedRun,
  type GoodBackup,
  type OpenRun,
  type Policy,
  type StoreFacts,
} from '@strideiq/core';
import type { Heartbeat } from '@strideiq/protocol';
import { and, desc, eq, inArray, isNotNull, max, min, sql } from 'drizzle-orm';
import type { AgentConnections, ConnectionState } from '../agents/agent-connections.ts';
import { areGood, areOfNow, dataMoment } from '../backups/good-backups.ts';
import { backups, copies, databases, drift, runs, stores } from '../catalog/schema.ts';
import type { CatalogReader } from '../copies/backup-copies.ts';
import type { StoreRow } from '../copies/own-stores.ts';
import { goodDrillOf } from '../drills/good-drill.ts';
import { policyInForce } from '../policies/kept-policies.ts';
import type { LiveRuns } from '../runs/live-runs.ts';
import { openRunStates } from '../runs/open-states.ts';

export interface FactsParts {
  catalog: CatalogReader;
  /** Why nothing is removed from a directory; left out: nobody asks. */
  retentionWaits?: (store: StoreRow) => string | null;
  connections: Pick<AgentConnections, 'stateOf'>;
  liveRuns: Pick<LiveRuns, 'progressOf'>;
}

type DatabaseRow = typeof databases.$inferSelect;
type RunRow = typeof runs.$inferSelect;

const mostGood = 10;
/** So many good runs tell what is usual. */
const usualOf = 7;

/** Copies that stand in their store. */
const standing = ['stored', 'verified', 'locked'] as const;
const damaged = ['corrupt', 'missing'] as const;

/** How a run ended that was not called off. */
const telling = ['succeeded', 'failed', 'lost', 'expired'] as const;

/** What is usual: for a database of which no policy is kept, or one that cannot be read here. */
const usualPolicy = policySchema.parse({});

/** The policy that rules go by, whole: one of another version may lack what has come since, and hold what is not known here. */
export function policyForRules(tx: CatalogReader, databaseId: string): { policy: Policy; since: number | undefined } {
  const kept = policyInForce(tx, databaseId);
  return { policy: foreignPolicySchema.safeParse(kept?.policy).data ?? usualPolicy, since: kept?.changedAt };
}

/** All that rules ask of a database. */
export function databaseFactsOf(parts: FactsParts, row: DatabaseRow, now: number): DatabaseFacts {
  const { catalog, connections } = parts;
  const { policy, since: policySince = row.firstSeenAt } = policyForRules(catalog, row.id);
  const live = connections.stateOf(row.agentId);
  const facts = live?.heartbeat?.databases.find(({ databaseId }) => databaseId === row.id);
  return {
    id: row.id,
    name: row.name,
    policy,
    policySince,
    firstSeenAt: row.firstSeenAt,
    connectedSince: live?.connectedAt,
    good: goodBackupsOf(catalog, row.id, now),
    lastBackup: endedRunOf(catalog, row.id, 'backup'),
    lastBegunAt: lastBegunAt(catalog, row.id),
    lastDrill: endedRunOf(catalog, row.id, 'drill'),
    lastGoodDrillAt: goodDrillOf(catalog, row.id)?.endedAt ?? undefined,
    openRuns: openRunsOf(parts, row.id),
    usualMs: (kind) => usualMs(catalog, row.id, kind),
    measured: measuredRestores(catalog, row.id),
    serverError: serverErrorOf(facts),
    pgDumpProblem: pgDumpProblemOf(facts),
    stores: storeFactsOf(parts, row.id, live),
  };
}

type HostDatabaseFacts = Heartbeat['databases'][number];

function serverErrorOf(facts: HostDatabaseFacts | undefined): string | undefined | null {
  if (!facts) return null;
  return facts.reachable ? undefined : (facts.error ?? 'its server does not answer');
}

function pgDumpProblemOf(facts: HostDatabaseFacts | undefined): string | undefined | null {
  if (facts?.pgDumpProblem !== undefined) return facts.pgDumpProblem;
  if (!facts?.reachable || facts.serverVersion === undefined || facts.pgDumpVersion === undefined) return null;
  const [server, tool] = [majorOf(facts.serverVersion), majorOf(facts.pgDumpVersion)];
  if (tool >= server) return undefined;
  return `The server is PostgreSQL ${facts.serverVersion}, and pg_dump is of ${facts.pgDumpVersion}.`;
}

/** `15.18 (Debian 15.18-0+deb12u1)` is of 15. */
function majorOf(version: string): number {
  return Number.parseInt(version.replace(/^\D*/, ''), 10);
}

/** Newest first; those alone of which a copy stands somewhere, since the others are none. */
function goodBackupsOf(tx: CatalogReader, databaseId: string, now: number): GoodBackup[] {
  const rows = tx
    .select()
    .from(backups)
    .where(and(areGood(tx, { databaseId, copyStates: standing }), areOfNow(now)))
    .orderBy(desc(backups.hostFinishedAt))
    .limit(mostGood)
    .all();
  return rows.map(({ id, hostFinishedAt, recordedAt, hostSnapshotAt, bytes, comparison }) => ({
    id,
    endedAt: Math.min(hostFinishedAt, recordedAt),
    dataAt: hostSnapshotAt ?? hostFinishedAt,
    bytes,
    comparison,
  }));
}

function endedRunOf(tx: CatalogReader, databaseId: string, kind: string): EndedRun | undefined {
  const run = tx
    .select()
    .from(runs)
    .where(and(eq(runs.databaseId, databaseId), eq(runs.kind, kind), inArray(runs.state, [...telling])))
    .orderBy(desc(runs.endedAt))
    .limit(1)
    .get();
  return run && { state: run.state, endedAt: endOf(run), error: run.error };
}

/** By its host's clock where it told it, so that what comes late counts for when it was. */
function endOf({ hostFinishedAt, endedAt, createdAt }: RunRow): number {
  return Math.min(hostFinishedAt ?? Number.POSITIVE_INFINITY, endedAt ?? createdAt);
}

function lastBegunAt(tx: CatalogReader, databaseId: string): number | undefined {
  const own = and(eq(runs.databaseId, databaseId), eq(runs.kind, 'backup'));
  const [newest] = tx
    .select({ at: max(runs.hostStartedAt) })
    .from(runs)
    .where(own)
    .all();
  return newest?.at ?? undefined;
}

function openRunsOf({ catalog, liveRuns }: FactsParts, databaseId: string): OpenRun[] {
  const open = and(eq(runs.databaseId, databaseId), inArray(runs.state, [...openRunStates]));
  return catalog
    .select()
    .from(runs)
    .where(open)
    .all()
    .map(({ id, kind, hostStartedAt, createdAt }) => ({
      id,
      kind,
      startedAt: hostStartedAt,
      movedAt: liveRuns.progressOf(id)?.movedAt ?? hostStartedAt ?? createdAt,
    }));
}

function usualMs(tx: CatalogReader, databaseId: string, kind: string): number | undefined {
  const took = and(eq(runs.databaseId, databaseId), eq(runs.kind, kind), eq(runs.state, 'succeeded'));
  const rows = tx.select().from(runs).where(took).orderBy(desc(runs.endedAt)).limit(usualOf).all();
  return median(
    rows.flatMap(({ hostStartedAt, hostFinishedAt }) =>
      hostStartedAt === null || hostFinishedAt === null ? [] : [hostFinishedAt - hostStartedAt],
    ),
  );
}

/** What restores took the last time, of whichever of this database's backups. */
export function measuredRestores(tx: CatalogReader, databaseId: string): DatabaseFacts['measured'] {
  const drill = goodDrillOf(tx, databaseId)?.outcome?.drill;
  const tables = tx
    .select({ run: runs })
    .from(runs)
    .innerJoin(backups, eq(backups.id, runs.backupId))
    .where(
      and(
        eq(runs.kind, 'restore'),
        eq(runs.state, 'succeeded'),
        eq(backups.databaseId, databaseId),
        sql`${runs.request} ->> 'mode' = 'tables'`,
      ),
    )
    .orderBy(desc(runs.endedAt))
    .limit(1)
    .get()?.run;
  const tablesMs =
    tables?.hostStartedAt == null || tables.hostFinishedAt === null
      ? undefined
      : tables.hostFinishedAt - tables.hostStartedAt;
  return { wholeMs: drill?.countsAsRto === true ? drill.restoreMs : undefined, tablesMs };
}

function storeFactsOf(parts: FactsParts, databaseId: string, live: ConnectionState | undefined): StoreFacts[] {
  const { catalog: tx, retentionWaits = () => null } = parts;
  const own = and(eq(stores.databaseId, databaseId), eq(stores.declared, true));
  const newest = newestBackupId(tx, databaseId);
  return tx
    .select()
    .from(stores)
    .where(own)
    .all()
    .map((store) => ({
      ...storeFacts(tx, store, newest, live),
      retentionWaits: store.type === 's3' ? store.retentionWaits : retentionWaits(store),
    }));
}

/** Whatever became of it: where its copies could not be stored, it is not a good one. */
function newestBackupId(tx: CatalogReader, databaseId: string): string | undefined {
  return tx
    .select({ id: backups.id })
    .from(backups)
    .where(and(eq(backups.databaseId, databaseId), eq(backups.safety, false)))
    .orderBy(desc(backups.hostFinishedAt))
    .limit(1)
    .get()?.id;
}

function storeFacts(
  tx: CatalogReader,
  store: StoreRow,
  newestBackup: string | undefined,
  live: ConnectionState | undefined,
): Omit<StoreFacts, 'retentionWaits'> {
  const { id, name, type, firstSeenAt } = store;
  const said = live?.heartbeat?.stores.find(({ storeId }) => storeId === id);
  const inStore = eq(copies.storeId, id);
  const stands = and(inStore, inArray(copies.state, [...standing]));
  const joined = () =>
    tx.select({ copy: copies, dataAt: dataMoment }).from(copies).innerJoin(backups, eq(backups.id, copies.backupId));
  const newest = joined()
    .where(and(stands, eq(backups.state, 'succeeded'), eq(backups.safety, false)))
    .orderBy(desc(dataMoment))
    .limit(1)
    .get();
  const [verified] = tx
    .select({ at: max(copies.verifiedAt) })
    .from(copies)
    .where(and(inStore, isNotNull(copies.verifiedAt)))
    .all();
  const [oldest] = tx
    .select({ at: min(copies.changedAt) })
    .from(copies)
    .where(stands)
    .all();
  return {
    id,
    name,
    type,
    firstSeenAt,
    freeBytes: said?.freeBytes ?? undefined,
    error: said === undefined ? null : said.error,
    copyFailed: newestBackup === undefined ? undefined : copyFailedText(tx, id, newestBackup),
    damaged: damagedIn(tx, id),
    verifiedAt: verified?.at ?? null,
    newestUnverifiedAt: newest && newest.copy.verifiedAt === null ? newest.copy.changedAt : null,
    oldestCopyAt: oldest?.at ?? null,
    newestDataAt: newest?.dataAt ?? null,
    drift: driftOfStore(tx, id),
  };
}

function copyFailedText(tx: CatalogReader, storeId: string, backupId: string): string | undefined {
  const failed = and(eq(copies.storeId, storeId), eq(copies.backupId, backupId), eq(copies.state, 'failed'));
  const copy = tx.select().from(copies).where(failed).get();
  return copy && `${copy.key} was not stored${copy.error === null ? '.' : `: ${copy.error}`}`;
}

const mostDamaged = 20;

function damagedIn(tx: CatalogReader, storeId: string): string[] {
  const rows = tx
    .select()
    .from(copies)
    .where(and(eq(copies.storeId, storeId), inArray(copies.state, [...damaged])))
    .orderBy(desc(copies.changedAt))
    .limit(mostDamaged)
    .all();
  return rows.map(({ key, state, error }) => `${key} is ${state}${error === null ? '.' : `: ${error}`}`);
}

/** What is gone or of another size is damaged, and is told so. */
const toldAsDamaged = ['missing', 'resized'] as const;
/** Of somebody's whom nobody here knows, and harmless as long as it lies there. */
const strangeKinds = ['unmanaged', 'foreign', 'unknown'] as const;

function driftOfStore(tx: CatalogReader, storeId: string): StoreFacts['drift'] {
  const rows = tx.select().from(drift).where(eq(drift.storeId, storeId)).limit(100).all();
  const isOneOf = (kinds: readonly string[], kind: string) => kinds.includes(kind);
  const told = rows.filter(({ kind, key }) => key === fixedNames.owner || !isOneOf(toldAsDamaged, kind));
  const texts = (rows: typeof told) => [...new Set(rows.map(({ text }) => text))];
  return {
    wrong: texts(told.filter(({ kind }) => !isOneOf(strangeKinds, kind))),
    strange: texts(told.filter(({ kind }) => isOneOf(strangeKinds, kind))),
  };
}
