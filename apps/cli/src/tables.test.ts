import type {
  Agent,
  AuditEntry,
  Backup,
  Database,
  Key,
  LogLine,
  Run,
  ShownAlert,
  ShownChannel,
} from '@strideiq/control-plane/router';
import { policySchema } from '@strideiq/core';
import { expect, test } from 'vitest';
import { agentsTable } from './agents/list.ts';
import { alertsTable } from './alerts/list.ts';
import { auditTable } from './audit/audit.ts';
import { backupsTable } from './backups/list.ts';
import { channelsTable, deliveriesTable } from './channels/channels.ts';
import { databasesTable } from './databases/list.ts';
import { keysTable } from './keys/list.ts';
import { momentText } from './moments.ts';
import { objectivesTable } from './objectives/objectives.ts';
import { policyText } from './policies/show.ts';
import { describeRun } from './runs/describe-run.ts';
import { runsTable } from './runs/runs.ts';
import { stepOf } from './runs/show-progress.ts';

const at = '2026-11-25T03:00:00.000Z';
const agent: Agent = {
  id: 'agent-1',
  environment: 'production',
  hostname: 'db1',
  version: '0.1.0',
  connected: true,
  connectedAt: at,
  lastSeenAt: at,
  enrolledAt: at,
  revoked: false,
  clockOffsetMs: -90_000,
  commandKinds: ['backup'],
};
const run: Run = {
  id: 'run-1',
  kind: 'restore',
  environment: 'production',
  databaseId: 'database-1',
  database: 'app',
  agentId: 'agent-1',
  state: 'running',
  requestedBy: { keyId: 'key-1', name: 'ci' },
  request: { into: 'app_restored' },
  createdAt: at,
  startedAt: at,
  finishedAt: null,
  endedAt: null,
  backupId: 'backup-1',
  progress: 0.4267,
  phase: 'restoring',
  remainingSeconds: null,
  table: 'public.orders',
  tables: ['public.orders'],
  rows: 12_345,
  bytes: null,
  rawBytes: 5_000_000,
  warnings: [],
  restore: null,
  drill: null,
  error: null,
};

test('agents', () => {
  const away = { ...agent, connected: false, lastSeenAt: null, clockOffsetMs: null, hostname: 'db2' };
  const revoked = { ...agent, revoked: true, clockOffsetMs: 30, hostname: 'db3' };
  expect(agentsTable([agent, away, revoked]).split('\n')).toEqual([
    'HOST  ENVIRONMENT  STATE      LAST SEEN                CLOCK            VERSION  ID',
    'db1   production   connected  2026-11-25 03:00:00 UTC  1 min 30 s slow  0.1.0    agent-1',
    'db2   production   away       -                        -                0.1.0    agent-1',
    'db3   production   revoked    2026-11-25 03:00:00 UTC  ok               0.1.0    agent-1',
  ]);
});

test('databases', () => {
  const database: Database = {
    id: 'database-1',
    environment: 'production',
    name: 'app',
    agentId: 'agent-1',
    agentConnected: true,
    declared: true,
    gone: false,
    allow: [],
    firstSeenAt: at,
    reachable: true,
    error: null,
    serverVersion: '15.9',
    pgDumpVersion: '15.9',
    sizeBytes: 2_000_000,
    lastDrill: null,
    lastBackup: { id: 'backup-1', finishedAt: at },
  };
  const others = [
    { ...database, reachable: false, error: 'ECONNREFUSED' },
    { ...database, agentConnected: false, sizeBytes: null, lastBackup: null },
    { ...database, declared: false, agentId: 'agent-2' },
  ];
  const lines = databasesTable([database, ...others], [agent]).split('\n');
  expect(lines[1]).toMatch(/^production\/app +db1 +ok +15\.9 +2 MB +2026-11-25 03:00:00 UTC +- +database-1$/);
  expect(lines[2]).toMatch(/unreachable: ECONNREFUSED/);
  expect(lines[3]).toMatch(/agent away +15\.9 +- +- +- /);
  expect(lines[4]).toMatch(/agent-2 +no longer named by its host/);
});

test('backups', () => {
  const copy = {
    storeId: 'store-1',
    store: 'local',
    storeType: 'directory' as const,
    location: '/backups',
    key: 'app_20261125_030000.sql.gz',
    state: 'verified' as const,
    sizeBytes: 1,
    verifiedAt: at,
    error: null,
    since: at,
    changedAt: at,
  };
  const backup: Backup = {
    id: 'backup-1',
    databaseId: 'database-1',
    environment: 'production',
    database: 'app',
    agentId: 'agent-1',
    runId: 'run-1',
    state: 'succeeded',
    objectName: 'app_20261125_030000.sql.gz',
    bytes: 1_500_000,
    rawBytes: 9_000_000,
    sha256: '',
    rows: 1_234_567,
    tables: 12,
    snapshotAt: null,
    finishedAt: at,
    recordedAt: at,
    serverVersion: '15.9',
    pgDumpVersion: '15.9',
    databaseBytes: 1,
    hasPrivileges: true,
    pin: null,
    copies: [copy, { ...copy, store: 's3', state: 'failed', error: { code: 'StoreFailed', text: 'It is\naway.' } }],
  };
  const [, line, ...below] = backupsTable([backup]).split('\n');
  expect(line).toMatch(
    /^2026-11-25 03:00:00 UTC +production\/app +app_20261125_030000 +1\.5 MB +1,234,567 +succeeded +local: verified, s3: failed +backup-1$/,
  );
  expect(below).toEqual(['', 'app_20261125_030000 in s3: failed since 2026-11-25 03:00:00 UTC: It is away.']);
  expect(backupsTable([{ ...backup, copies: [copy] }]).split('\n')).toHaveLength(2);
});

test('runs', () => {
  const host = { ...run, requestedBy: null, state: 'failed' as const, finishedAt: '2026-11-25T03:01:05.000Z' };
  const lines = runsTable([run, host]).split('\n');
  expect(lines[1]).toMatch(/restore +production\/app +running 42 % +- +ci +run-1$/);
  expect(lines[2]).toMatch(/failed +1 min 05 s +the host +run-1$/);
});

test('one run, whole', () => {
  const log: LogLine[] = [{ at, level: 'warn', text: 'a role is missing' }];
  expect(describeRun(run, log)).toBe(
    [
      'Run run-1: restore of production/app is running, 42 % done',
      '  asked by  ci (key-1)',
      '  begun     2026-11-25 03:00:00 UTC',
      '  backup    backup-1',
      '  into      app_restored',
      '  rows      12,345',
      '',
      '2026-11-25 03:00:00 UTC  warn: a role is missing',
    ].join('\n'),
  );
  const failed: Run = {
    ...run,
    state: 'failed',
    error: { code: 'TargetExists', text: 'It is there.' },
    warnings: ['w'],
  };
  expect(describeRun(failed)).toContain('Run run-1: restore of production/app failed');
  expect(describeRun(failed)).toMatch(/ {2}error +TargetExists: It is there\.\n {2}warning +w$/);
});

test('progress', () => {
  const details = (of: Run) => stepOf(of).details?.() ?? [];
  expect(stepOf(run)).toMatchObject({ name: 'Restoring', fraction: 0.4267 });
  expect(details(run)).toEqual(['5 MB of SQL', '12,345 rows', 'public.orders']);
  expect(stepOf({ ...run, state: 'queued' }).name).toBe('Waiting for the agent to take it on');
  expect(stepOf({ ...run, state: 'cancelling', progress: null })).toMatchObject({ name: 'Cancelling: Restoring' });
  expect(stepOf({ ...run, phase: null }).name).toBe('Running');
});

test('keys and the audit', () => {
  const key: Key = {
    id: 'key-1',
    name: 'ci',
    role: 'operator',
    environments: ['production', 'staging'],
    createdAt: at,
    createdBy: 'local',
    expiresAt: at,
    revokedAt: null,
    lastUsedAt: null,
  };
  const now = Date.parse(at);
  const lines = keysTable(
    [key, { ...key, environments: null, expiresAt: null }, { ...key, revokedAt: at }],
    now - 1,
  ).split('\n');
  expect(lines[1]).toMatch(/^ci +operator +production, staging +until 2026-11-25 03:00:00 UTC +- +key-1$/);
  expect(lines[2]).toMatch(/operator +all +holds/);
  expect(lines[3]).toMatch(/revoked 2026/);
  expect(keysTable([key], now)).toMatch(/expired 2026/);

  const entry: AuditEntry = {
    seq: 7,
    at,
    actor: 'key-1',
    action: 'restore.request',
    environment: 'production',
    subject: null,
    detail: { into: 'app', tables: 3, by: { a: 1 } },
    hash: '',
  };
  expect(auditTable([entry]).split('\n')[1]).toMatch(
    /^ +7 +2026-11-25 03:00:00 UTC +key-1 +restore\.request +production +- +into=app tables=3 by=\{"a":1\}$/,
  );
});

test('moments', () => {
  expect(momentText(null)).toBe('-');
});

const alert: ShownAlert = {
  id: 'alert-1',
  rule: 'noBackup',
  title: 'No backup',
  subject: 'database:1',
  name: 'app',
  environment: 'production',
  databaseId: '1',
  state: 'open',
  severity: 'critical',
  text: 'The last one is old.',
  meaning: 'much',
  cure: 'Take one.',
  openedAt: at,
  resolvedAt: null,
  acknowledgedAt: null,
  acknowledgedBy: null,
  silencedUntil: null,
  silencedBy: null,
  note: null,
};

test('alerts', () => {
  const silenced = { ...alert, state: 'silenced' as const, silencedUntil: at, note: 'a move', environment: null };
  const resolved = { ...alert, state: 'resolved' as const, resolvedAt: '2026-11-25T03:05:00.000Z' };
  expect(alertsTable([alert, silenced, resolved], Date.parse(at) + 7_200_000).split('\n')).toEqual([
    'SEVERITY  ALERT      ABOUT           STATE                                            SINCE                    FOR         WHAT                  ID',
    'critical  No backup  production/app  open                                             2026-11-25 03:00:00 UTC  2 h 00 min  The last one is old.  alert-1',
    'critical  No backup  app             silenced until 2026-11-25 03:00:00 UTC (a move)  2026-11-25 03:00:00 UTC  2 h 00 min  The last one is old.  alert-1',
    'critical  No backup  production/app  resolved                                         2026-11-25 03:00:00 UTC  5 min 00 s  The last one is old.  alert-1',
  ]);
});

test('channels, and the messages to one', () => {
  const channel: ShownChannel = {
    name: 'team',
    type: 'slack',
    environments: ['production'],
    severity: 'warning',
    rules: null,
    digest: { schedule: '0 8 * * 1', timezone: 'UTC' },
    lastSentAt: null,
    waiting: 2,
    problem: null,
  };
  expect(channelsTable([channel]).split('\n')).toEqual([
    'CHANNEL  TYPE   ENVIRONMENTS  FROM     RULES  DIGEST           LAST ARRIVED  WAITING',
    'team     slack  production    warning  all    0 8 * * 1 (UTC)  never               2',
  ]);
  const ended = { endedAt: null, error: 'It is closed.', attempts: 3 };
  const message = {
    id: 'a',
    channel: 'team',
    state: 'waiting' as const,
    kind: 'opened',
    title: 'No backup',
    createdAt: at,
  };
  expect(deliveriesTable([{ ...message, ...ended }]).split('\n')).toEqual([
    'TIME                     KIND    STATE    ATTEMPTS  TITLE      ERROR',
    '2026-11-25 03:00:00 UTC  opened  waiting         3  No backup  It is closed.',
  ]);
});

test('objectives beside what was measured', () => {
  const scenario = { scenario: 'dataDeletion' as const, name: 'Accidental data deletion', days: [], restores: [] };
  const measured = { rpoMs: 86_400_000, dataAgeMs: 3_600_000, worstDataAgeMs: 90_000_000, rpoMet: 0.9583 };
  const restored = { rtoMs: null, restoreMs: 65_000, worstRestoreMs: null, rtoMet: null };
  expect(objectivesTable([{ ...scenario, ...measured, ...restored }]).split('\n')).toEqual([
    'SCENARIO                          RPO    DATA NOW        WORST     MET  RTO  LAST RESTORE  WORST  MET',
    'Accidental data deletion  24 h 00 min  1 h 00 min  25 h 00 min  95.8 %    -    1 min 05 s      -    -',
  ]);
});

test('a policy, with what is promised and from when on somebody is told', () => {
  const policy = policySchema.parse({ schedule: '0 3 * * *', objectives: { dataDeletion: { rpoMs: null } } });
  const kept = { version: 2, policy, changedAt: at, changedBy: 'key-1', runs: 2 };
  expect(policyText('production/app', kept).split('\n').slice(-5)).toEqual([
    '  keep     as usual: 7 days in directories, 30 in buckets',
    '  goal     Database corruption: RPO 24 h 00 min, RTO 1 h 00 min',
    '  goal     Full infrastructure failure: RPO 24 h 00 min, RTO 4 h 00 min',
    '  goal     Accidental data deletion: RPO none, RTO 30 min 00 s',
    '  alerts   a backup below 50 % of the usual, a table that lost 50 %, a run of 3 times the usual, a disk with less than 10.0 GB',
  ]);
});
