import {
  dataAges,
  measuredFor,
  scenarios,
  type DataAges,
  type Objective,
  type RestorePoint,
  type Scenario,
} from '@strideiq/core';
import { and, asc, desc, eq, gte } from 'drizzle-orm';
import { measuredRestores, policyForRules } from '../alerts/database-facts-of.ts';
import { areGood } from '../backups/good-backups.ts';
import { backups, runs } from '../catalog/schema.ts';
import type { CatalogReader } from '../copies/backup-copies.ts';

/** A restore whose time was measured. */
export interface MeasuredRestore {
  runId: string;
  at: number;
  restoreMs: number;
}

export interface ScenarioReport {
  scenario: Scenario;
  objective: Objective;
  ages: DataAges;
  /** Of what counts for the scenario, the newest first. */
  restores: MeasuredRestore[];
  /** What the last one says of it; undefined where nothing was measured. */
  measuredMs: number | undefined;
}

const dayMs = 86_400_000;
/** Data of longer ago are what a period begins with. */
const beforeMs = 60 * dayMs;

/** Objectives beside what was measured, scenario by scenario. */
export function objectivesOf(
  tx: CatalogReader,
  databaseId: string,
  { from, to }: { from: number; to: number },
): ScenarioReport[] {
  const { objectives } = policyForRules(tx, databaseId).policy;
  const anywhere = pointsOf(tx, databaseId, { since: from - beforeMs });
  const elsewhere = pointsOf(tx, databaseId, { since: from - beforeMs, storeType: 's3' });
  const measured = measuredRestores(tx, databaseId);
  const [drills, tables] = [drillsOf(tx, databaseId, from), tableRestoresOf(tx, databaseId, from)];
  return scenarios.map((scenario) => {
    const objective = objectives[scenario];
    // Where the host is lost with its disks, only what is elsewhere is left.
    const points = scenario === 'infrastructureFailure' ? elsewhere : anywhere;
    return {
      scenario,
      objective,
      ages: dataAges(points, { from, to, rpoMs: objective.rpoMs }),
      restores: scenario === 'dataDeletion' && tables.length > 0 ? tables : drills,
      measuredMs: measuredFor(scenario, measured),
    };
  });
}

/**
 * What could have been restored, those that were removed since included. A copy that was made later than its backup counts
 * from its backup's end: when it came is not kept.
 */
function pointsOf(
  tx: CatalogReader,
  databaseId: string,
  { since, storeType }: { since: number; storeType?: 's3' },
): RestorePoint[] {
  const good = areGood(tx, {
    databaseId,
    copyStates: ['stored', 'verified', 'locked', 'deleting', 'deleted'],
    ...(storeType === undefined ? {} : { storeType }),
  });
  return tx
    .select()
    .from(backups)
    .where(and(good, gte(backups.hostFinishedAt, since)))
    .orderBy(asc(backups.hostFinishedAt))
    .all()
    .map(({ hostSnapshotAt, hostFinishedAt }) => ({
      dataAt: hostSnapshotAt ?? hostFinishedAt,
      availableAt: hostFinishedAt,
    }));
}

function drillsOf(tx: CatalogReader, databaseId: string, since: number): MeasuredRestore[] {
  return restoresOf(tx, databaseId, { kind: 'drill', since }).flatMap(({ id, outcome, endedAt }) =>
    outcome?.drill?.countsAsRto === true ? [{ runId: id, at: endedAt ?? 0, restoreMs: outcome.drill.restoreMs }] : [],
  );
}

function tableRestoresOf(tx: CatalogReader, databaseId: string, since: number): MeasuredRestore[] {
  return restoresOf(tx, databaseId, { kind: 'restore', since }).flatMap((run) =>
    run.request?.['mode'] === 'tables' && run.hostStartedAt !== null && run.hostFinishedAt !== null
      ? [{ runId: run.id, at: run.endedAt ?? 0, restoreMs: run.hostFinishedAt - run.hostStartedAt }]
      : [],
  );
}

const mostRestores = 500;

function restoresOf(tx: CatalogReader, databaseId: string, { kind, since }: { kind: string; since: number }) {
  return tx
    .select({ run: runs })
    .from(runs)
    .innerJoin(backups, eq(backups.id, runs.backupId))
    .where(
      and(
        eq(runs.kind, kind),
        eq(runs.state, 'succeeded'),
        gte(runs.endedAt, since),
        eq(backups.databaseId, databaseId),
      ),
    )
    .orderBy(desc(runs.endedAt))
    .limit(mostRestores)
    .all()
    .map(({ run }) => run);
}
