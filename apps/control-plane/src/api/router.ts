import { agentsRouter } from './agents.ts';
import { alertsRouter } from './alerts.ts';
import { auditRouter } from './audit.ts';
import { backupsRouter } from './backups.ts';
import { channelsRouter } from './channels.ts';
import { databasesRouter } from './databases.ts';
import { driftRouter } from './drift.ts';
import { drillsRouter } from './drills.ts';
import { enrolTokensRouter } from './enrol-tokens.ts';
import { environmentsRouter } from './environments.ts';
import { router } from './guarded.ts';
import { keysRouter } from './keys.ts';
import { reportsRouter } from './reports.ts';
import { policiesRouter } from './policies.ts';
import { objectivesRouter } from './objectives.ts';
import { restoresRouter } from './restores.ts';
import { retentionRouter } from './retention.ts';
import { runsRouter } from './runs.ts';
import { systemRouter } from './system.ts';
import { uploadsRouter } from './uploads.ts';

/**
 * Everything that can be asked of the control plane. `/trpc` serves it to our own clients, `/api/v1` to everyone else.
 */
export const apiRouter = router({
  environments: environmentsRouter,
  agents: agentsRouter,
  databases: databasesRouter,
  policies: policiesRouter,
  retention: retentionRouter,
  objectives: objectivesRouter,
  drift: driftRouter,
  backups: backupsRouter,
  restores: restoresRouter,
  drills: drillsRouter,
  uploads: uploadsRouter,
  runs: runsRouter,
  alerts: alertsRouter,
  channels: channelsRouter,
  keys: keysRouter,
  audit: auditRouter,
  enrolTokens: enrolTokensRouter,
  reports: reportsRouter,
  system: systemRouter,
});

export type ApiRouter = typeof apiRouter;

export type { Agent, AgentDetail, Store } from './agent-view.ts';
export type { ShownAlert } from './alerts.ts';
export type { AuditEntry } from './audit.ts';
export type { Backup, Copy } from './backup-view.ts';
export type { Delivery, ShownChannel } from './channels.ts';
export type { Database, DatabaseDetail } from './database-view.ts';
export type { Environment } from './environments.ts';
export type { Key } from './key-view.ts';
export type { ShownScenario } from './objectives.ts';
export type { KeptPolicy } from './policies.ts';
export type { StoreDrift } from './drift.ts';
export type { KeptBucket, StorePlan } from './retention.ts';
export type { Problem } from './problem.ts';
export type { RejectedReport } from './reports.ts';
export type { Run } from './run-view.ts';
export type { LogLine } from './runs.ts';
