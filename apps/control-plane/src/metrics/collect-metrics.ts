import { measuredFor, scenarios, type DatabaseFacts } from '@strideiq/core';
import { count, eq, inArray, isNotNull, isNull } from 'drizzle-orm';
import { setImmediate } from 'node:timers/promises';
import { Gauge, Registry } from 'prom-client';
import { databaseFactsOf, type FactsParts } from '../alerts/database-facts-of.ts';
import { agents, alerts, backups, copies, databases, notices, runs } from '../catalog/schema.ts';
import { goodDrillOf } from '../drills/good-drill.ts';
import { openRunStates } from '../runs/open-states.ts';
import { controlPlaneVersion } from '../version.ts';

/** Whose metrics are asked for: environments by name; null: all, and the control plane's own. */
export type Reach = readonly string[] | null;

type Row = Record<string, string>;

/** Databases that are looked at before others have their turn: SQLite holds up everyone while it reads. */
const atOnce = 10;

/** One set of gauges, made anew for each scrape, so that what is gone is not told any more. */
export async function collectMetrics(parts: FactsParts, reach: Reach, now: number): Promise<Registry> {
  const registry = new Registry();
  const gauges = new Map<string, Gauge>();
  const set: Set = (name, help, labels, value) => {
    const given = gauges.get(name) ?? new Gauge({ name, help, labelNames: Object.keys(labels), registers: [registry] });
    gauges.set(name, given);
    if (value !== null && value !== undefined) given.set(labels, value);
  };
  const { catalog } = parts;
  const rows = catalog.select().from(databases).where(eq(databases.declared, true)).all();
  for (const [at, row] of rows.filter(({ environment }) => reach?.includes(environment) ?? true).entries()) {
    ofDatabase(parts, set, row, now);
    if (at % atOnce === atOnce - 1) await setImmediate();
  }
  ofAgents(parts, set, reach);
  ofAlerts(parts, set, reach);
  ofRuns(parts, set, reach);
  if (reach === null) ofSelf(parts, set);
  return registry;
}

type Set = (name: string, help: string, labels: Row, value: number | null | undefined) => void;

function ofDatabase(parts: FactsParts, set: Set, row: typeof databases.$inferSelect, now: number): void {
  const { catalog } = parts;
  const facts = databaseFactsOf(parts, row, now);
  const labels = { environment: row.environment, database: row.name };
  const [newest] = facts.good;
  set(
    'strideiq_backup_last_success_timestamp_seconds',
    'End of the newest backup that succeeded.',
    labels,
    seconds(newest?.endedAt),
  );
  set('strideiq_backup_size_bytes', 'Compressed size of the newest backup that succeeded.', labels, newest?.bytes);
  set(
    'strideiq_backup_duration_seconds',
    'Duration of the newest backup that succeeded.',
    labels,
    seconds(tookOf(parts, newest?.id)),
  );
  const drill = goodDrillOf(catalog, row.id);
  set(
    'strideiq_restore_duration_seconds',
    'What the last drill that counts for it took to restore the database.',
    labels,
    seconds(facts.measured.wholeMs),
  );
  set(
    'strideiq_drill_last_success_timestamp_seconds',
    'End of the last drill that succeeded.',
    labels,
    seconds(drill?.endedAt),
  );
  set('strideiq_database_paused', '1 while its policy is paused.', labels, isPaused(facts.policy, now) ? 1 : 0);
  for (const store of facts.stores) ofStore(parts, set, { ...labels, store: store.name }, store);
  ofObjectives(set, labels, facts, now);
}

function ofStore({ catalog }: FactsParts, set: Set, labels: Row, store: DatabaseFacts['stores'][number]): void {
  set(
    'strideiq_backup_last_verified_timestamp_seconds',
    'When a copy in the store was read back last.',
    labels,
    seconds(store.verifiedAt),
  );
  if (store.type === 'directory')
    set('strideiq_agent_disk_free_bytes', 'Room on the disk of a directory store.', labels, store.freeBytes);
  const states = catalog
    .select({ state: copies.state, copies: count() })
    .from(copies)
    .where(eq(copies.storeId, store.id))
    .groupBy(copies.state)
    .all();
  const known = new Map(states.map((each) => [each.state, each.copies]));
  for (const state of ['stored', 'verified', 'corrupt', 'missing', 'locked', 'failed'] as const)
    set('strideiq_copies', 'Copies in the store by their state.', { ...labels, state }, known.get(state) ?? 0);
}

/** Above 1 it is broken. */
function ofObjectives(
  set: Set,
  labels: Row,
  { policy, good: [newest], measured, stores, ...facts }: DatabaseFacts,
  now: number,
): void {
  const { objectives } = policy;
  const elsewhere = stores.flatMap(({ type, newestDataAt }) =>
    type === 's3' && newestDataAt !== null ? [newestDataAt] : [],
  );
  for (const scenario of scenarios) {
    const { rpoMs, rtoMs } = objectives[scenario];
    const dataAt = scenario === 'infrastructureFailure' ? Math.max(...elsewhere, facts.firstSeenAt) : newest?.dataAt;
    const of = { ...labels, scenario };
    const rpo = rpoMs === null ? null : (now - (dataAt ?? facts.firstSeenAt)) / rpoMs;
    set(
      'strideiq_objective_rpo_ratio',
      'Age of the newest data that could be restored, as a share of the objective.',
      of,
      rpo,
    );
    const took = measuredFor(scenario, measured);
    const rto = rtoMs === null || took === undefined ? null : took / rtoMs;
    set('strideiq_objective_rto_ratio', 'The last measured restore, as a share of the objective.', of, rto);
  }
}

function isPaused({ pause }: DatabaseFacts['policy'], now: number): boolean {
  return pause !== undefined && Date.parse(pause.until) > now;
}

function tookOf({ catalog }: FactsParts, backupId: string | undefined): number | undefined {
  if (backupId === undefined) return undefined;
  const run = catalog
    .select({ run: runs })
    .from(backups)
    .innerJoin(runs, eq(runs.id, backups.runId))
    .where(eq(backups.id, backupId))
    .get()?.run;
  if (!run || run.hostStartedAt === null || run.hostFinishedAt === null) return undefined;
  return run.hostFinishedAt - run.hostStartedAt;
}

function ofAgents({ catalog, connections }: FactsParts, set: Set, reach: Reach): void {
  const rows = catalog.select().from(agents).where(isNotNull(agents.credentialHash)).all();
  for (const { id, environment, hostname, lastSeenAt } of rows) {
    if (reach?.includes(environment) === false) continue;
    const live = connections.stateOf(id);
    const labels = { environment, agent: hostname };
    set('strideiq_agent_connected', '1 while the agent is connected.', labels, live ? 1 : 0);
    set(
      'strideiq_agent_last_seen_timestamp_seconds',
      'When the agent was seen last.',
      labels,
      seconds(live?.lastSeenAt ?? lastSeenAt),
    );
    set(
      'strideiq_agent_clock_offset_seconds',
      'The clock of its host less ours.',
      labels,
      seconds(live?.clockOffsetMs),
    );
  }
}

function ofAlerts({ catalog }: FactsParts, set: Set, reach: Reach): void {
  const open = catalog
    .select({ environment: alerts.environment, rule: alerts.rule, severity: alerts.severity, alerts: count() })
    .from(alerts)
    .where(isNull(alerts.resolvedAt))
    .groupBy(alerts.environment, alerts.rule, alerts.severity)
    .all();
  for (const { environment, rule, severity, alerts: number } of open) {
    if (reach !== null && (environment === null || !reach.includes(environment))) continue;
    const labels = { environment: environment ?? '', rule, severity };
    set('strideiq_alerts_open', 'Alerts that are not resolved.', labels, number);
  }
}

function ofRuns({ catalog }: FactsParts, set: Set, reach: Reach): void {
  const active = catalog
    .select({ environment: databases.environment, kind: runs.kind, runs: count() })
    .from(runs)
    .innerJoin(databases, eq(databases.id, runs.databaseId))
    .where(inArray(runs.state, [...openRunStates]))
    .groupBy(databases.environment, runs.kind)
    .all();
  for (const { environment, kind, runs: number } of active)
    if (reach?.includes(environment) ?? true)
      set('strideiq_runs_active', 'Runs under way.', { environment, kind }, number);
}

function ofSelf({ catalog }: FactsParts, set: Set): void {
  set('strideiq_build_info', 'The version that runs, as a label.', { version: controlPlaneVersion }, 1);
  const waiting = catalog
    .select({ channel: notices.channel, notices: count() })
    .from(notices)
    .where(eq(notices.state, 'waiting'))
    .groupBy(notices.channel)
    .all();
  for (const { channel, notices: number } of waiting)
    set('strideiq_messages_waiting', 'Messages to a channel that have not arrived.', { channel }, number);
}

function seconds(ms: number | null | undefined): number | undefined {
  return ms === null || ms === undefined ? undefined : ms / 1000;
}
