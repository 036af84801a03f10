import { durationText } from '../duration-text.ts';
import type { Scenario } from '../policy.ts';
import type { DatabaseFacts, EndedRun, OpenRun } from './database-facts.ts';
import { lastDue, longestGapMs } from './due-gaps.ts';
import { judgement, type Judgement, type Verdict } from './judgement.ts';
import { judgeStore } from './judge-store.ts';
import type { RuleName } from './rules.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** A backup of each night is not late because tonight's took some minutes longer: a day is given an hour. */
const patience = 25 / 24;
/** A backup that is due is begun within so long, beside the jitter that is allowed. */
const begunWithinMs = 15 * minuteMs;
/** What a schedule asks for each week may take so long to come to its end. */
const doneWithinMs = 24 * hourMs;
/** A run that takes less is not long, whatever is usual. */
const shortMs = 10 * minuteMs;
/** Nothing of a run moves for so long. */
const stillMs = 30 * minuteMs;
/** Fewer good backups tell nothing of what is usual. */
const leastForUsual = 3;
/** Share of what an objective allows. */
const nearly = 0.8;

/** Everything that rules say of a database and its stores. It depends on nothing but what is given. */
export function judgeDatabase(facts: DatabaseFacts, now: number): Judgement[] {
  const { off } = facts.policy.alerts;
  const subject = `database:${facts.id}`;
  const ofDatabase = Object.entries(databaseRules).map(([rule, judge]) =>
    judgement(rule as RuleName, subject, judge(facts, now)),
  );
  const all = [...ofDatabase, ...facts.stores.flatMap((store) => judgeStore(facts, store, now))];
  return all.map((each) => (off.includes(each.rule) ? { ...each, holds: false, text: '' } : each));
}

const databaseRules = {
  noBackup,
  backupFailed: ({ lastBackup, good: [newest] }: DatabaseFacts) => failureText('backup', lastBackup, newest?.endedAt),
  backupSmall,
  rowsLost,
  schemaChanged,
  scheduleMissed,
  runLong,
  runStuck,
  serverAway: ({ serverError }: DatabaseFacts) => (serverError === null ? 'unknown' : serverError),
  pgDumpOld: ({ pgDumpProblem }: DatabaseFacts) => (pgDumpProblem === null ? 'unknown' : pgDumpProblem),
  drillFailed: ({ lastDrill, lastGoodDrillAt }: DatabaseFacts) =>
    failureText('drill', lastDrill, lastGoodDrillAt ?? undefined),
  drillOverdue,
  rpoBroken,
  rpoAtRisk,
  rtoBroken,
  rtoAtRisk,
} satisfies Partial<Record<RuleName, (facts: DatabaseFacts, now: number) => Verdict>>;

/** The least that may be lost in any scenario; undefined where no objective says. */
function strictestRpoMs({ policy }: DatabaseFacts): number | undefined {
  const all = Object.values(policy.objectives).flatMap(({ rpoMs }) => (rpoMs === null ? [] : [rpoMs]));
  return all.length === 0 ? undefined : Math.min(...all);
}

function noBackup(facts: DatabaseFacts, now: number): Verdict {
  const rpoMs = strictestRpoMs(facts);
  const [newest] = facts.good;
  const age = now - (newest?.endedAt ?? facts.firstSeenAt);
  if (rpoMs === undefined || age <= rpoMs * patience) return undefined;
  const limit = `its objective is ${durationText(rpoMs)}`;
  const { pause } = facts.policy;
  const paused = pause && Date.parse(pause.until) > now ? ` It is paused until ${pause.until}: ${pause.reason}.` : '';
  if (!newest) return `No backup of it ever succeeded, since it is known ${durationText(age)}; ${limit}.${paused}`;
  return `The last backup that succeeded is ${durationText(age)} old; ${limit}.${paused}`;
}

function failureText(kind: string, last: EndedRun | undefined, goodAt: number | undefined): Verdict {
  if (!last || (last.state !== 'failed' && last.state !== 'lost' && last.state !== 'expired')) return undefined;
  if (goodAt !== undefined && goodAt > last.endedAt) return undefined;
  const what = { failed: 'failed', lost: 'was forgotten by its host', expired: 'was not begun by its host in time' };
  return `The last ${kind} ${what[last.state]}${last.error === null ? '' : `: ${last.error}`}`;
}

function backupSmall({ good: [newest, ...before], policy }: DatabaseFacts): Verdict {
  if (!newest) return undefined;
  const { leastBytes, smallerThan } = policy.alerts;
  if (newest.bytes < leastBytes) return `The newest backup has ${newest.bytes} bytes, and the least is ${leastBytes}.`;
  const usual = median(before.slice(0, 7).map(({ bytes }) => bytes));
  if (usual === undefined || newest.bytes >= usual * smallerThan) return undefined;
  return `The newest backup has ${newest.bytes} bytes, and those before it had ${usual} (median).`;
}

/** Undefined where there are too few to tell. */
export function median(values: readonly number[]): number | undefined {
  if (values.length < leastForUsual) return undefined;
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.floor((sorted.length - 1) / 2)];
}

function rowsLost({ good: [newest], policy }: DatabaseFacts): Verdict {
  const lost = (newest?.comparison?.rowsLost ?? []).filter(
    ({ before, after }) => (before - after) / before > policy.alerts.rowsLost,
  );
  if (lost.length === 0) return undefined;
  const shown = lost.slice(0, 5).map(({ table, before, after }) => `${table} has ${after} rows and had ${before}`);
  return `${shown.join('; ')}${lost.length > shown.length ? `; and ${lost.length - shown.length} tables more` : ''}.`;
}

function schemaChanged({ good: [newest] }: DatabaseFacts): Verdict {
  const { added = 0, removed = 0, changed = 0, examples = [] } = newest?.comparison?.schema ?? {};
  if (added + removed + changed === 0) return undefined;
  return `${added} added, ${removed} removed, ${changed} changed: ${examples.slice(0, 5).join('; ')}`;
}

function isPaused({ policy: { pause } }: DatabaseFacts, now: number): boolean {
  return pause !== undefined && Date.parse(pause.until) > now;
}

/** While its agent is away nobody knows what it has begun. */
function scheduleMissed(facts: DatabaseFacts, now: number): Verdict {
  const { policy, policySince, firstSeenAt, connectedSince, lastBegunAt, openRuns } = facts;
  if (isPaused(facts, now) || policy.schedule.length === 0) return undefined;
  if (connectedSince === undefined || connectedSince > now - begunWithinMs) return 'unknown';
  if (openRuns.some(({ kind }) => kind === 'backup')) return undefined;
  const graceMs = policy.jitterMs + begunWithinMs;
  const since = Math.max(policySince, firstSeenAt);
  const dues = policy.schedule.map(({ cron }) =>
    lastDue({ line: cron, timezone: policy.timezone }, { now, graceMs, since }),
  );
  const due = Math.max(...dues.map((each) => each ?? Number.NEGATIVE_INFINITY));
  // Host and control plane may be a little apart.
  if (due === Number.NEGATIVE_INFINITY || (lastBegunAt ?? 0) >= due - minuteMs) return undefined;
  return `A backup was due at ${new Date(due).toISOString()}, and its host has begun none since.`;
}

function runLong({ openRuns, usualMs, policy }: DatabaseFacts, now: number): Verdict {
  const long = openRuns.flatMap(({ id, kind, startedAt }) => {
    const usual = usualMs(kind);
    if (startedAt === null || usual === undefined) return [];
    const took = now - startedAt;
    if (took <= Math.max(shortMs, usual * policy.alerts.longerThan)) return [];
    return [`The ${kind} ${id} has taken ${durationText(took)} so far; usual are ${durationText(usual)}.`];
  });
  return long.length === 0 ? undefined : long.join(' ');
}

function runStuck({ openRuns, connectedSince }: DatabaseFacts, now: number): Verdict {
  const isStill = ({ startedAt, movedAt }: OpenRun) => startedAt !== null && now - movedAt > stillMs;
  const still = openRuns.filter(isStill);
  if (still.length === 0) return undefined;
  // What its agent does meanwhile nobody can see.
  if (connectedSince === undefined || connectedSince > now - stillMs) return 'unknown';
  return still
    .map(({ kind, id, movedAt }) => `Nothing of the ${kind} ${id} has moved for ${durationText(now - movedAt)}.`)
    .join(' ');
}

function drillOverdue(facts: DatabaseFacts, now: number): Verdict {
  const { policy, policySince, firstSeenAt, lastGoodDrillAt } = facts;
  const { schedule: line } = policy.drill;
  if (line === undefined || isPaused(facts, now)) return undefined;
  const since = Math.max(policySince, firstSeenAt);
  const due = lastDue({ line, timezone: policy.timezone }, { now, graceMs: doneWithinMs, since });
  if (due === undefined || (lastGoodDrillAt ?? 0) >= due) return undefined;
  const last =
    lastGoodDrillAt === undefined
      ? 'none succeeded yet'
      : `the last that succeeded is ${durationText(now - lastGoodDrillAt)} old`;
  return `A drill was due at ${new Date(due).toISOString()}, and ${last}.`;
}

/** Where the host is lost with its disks, only what is elsewhere is left. */
function rpoBroken(facts: DatabaseFacts, now: number): Verdict {
  const { rpoMs } = facts.policy.objectives.infrastructureFailure;
  // Then it is broken in every scenario, and that is said already.
  if (rpoMs === null || noBackup(facts, now) !== undefined) return undefined;
  const elsewhere = facts.stores.filter(({ type }) => type === 's3');
  const newest = Math.max(...elsewhere.map(({ newestDataAt }) => newestDataAt ?? Number.NEGATIVE_INFINITY));
  const age = now - (newest === Number.NEGATIVE_INFINITY ? facts.firstSeenAt : newest);
  if (age <= rpoMs * patience) return undefined;
  const limit = `the objective is ${durationText(rpoMs)}`;
  if (elsewhere.length === 0)
    return `No store of it is anywhere but on its host: were that lost, nothing would be left; ${limit}.`;
  return newest === Number.NEGATIVE_INFINITY
    ? `No copy of it has ever left its host; ${limit}.`
    : `What could be restored were its host lost is ${durationText(age)} old; ${limit}.`;
}

function rpoAtRisk(facts: DatabaseFacts, now: number): Verdict {
  const { policy, stores } = facts;
  if (isPaused(facts, now) || policy.schedule.length === 0) return undefined;
  const elsewhere = stores.filter(({ type }) => type === 's3').map(({ name }) => name);
  const risks = scenarios.flatMap((scenario) => {
    const { rpoMs } = policy.objectives[scenario];
    if (rpoMs === null || (scenario === 'infrastructureFailure' && elsewhere.length === 0)) return [];
    const gap = longestGapMs(policy, now, scenario === 'infrastructureFailure' ? elsewhere : undefined);
    if (gap === undefined || gap <= rpoMs * patience) return [];
    const between = gap === Number.POSITIVE_INFINITY ? 'weeks' : durationText(gap);
    return [
      `${scenarioNames[scenario]}: the schedule leaves ${between} between backups, and the objective is ${durationText(rpoMs)}.`,
    ];
  });
  return risks.length === 0 ? undefined : risks.join(' ');
}

/** What each scenario is called, for people. */
export const scenarioNames: Record<Scenario, string> = {
  databaseCorruption: 'Database corruption',
  infrastructureFailure: 'Full infrastructure failure',
  dataDeletion: 'Accidental data deletion',
};
export const scenarios = Object.keys(scenarioNames) as Scenario[];

function rtoBroken(facts: DatabaseFacts): Verdict {
  return rtoText(facts, (share) => share > 1);
}

function rtoAtRisk(facts: DatabaseFacts): Verdict {
  if (rtoBroken(facts) !== undefined) return undefined;
  return rtoText(facts, (share) => share > nearly);
}

function rtoText({ policy, measured }: DatabaseFacts, tells: (share: number) => boolean): Verdict {
  const texts = scenarios.flatMap((scenario) => {
    const { rtoMs } = policy.objectives[scenario];
    const ms = measuredFor(scenario, measured);
    if (rtoMs === null || ms === undefined || !tells(ms / rtoMs)) return [];
    return [
      `${scenarioNames[scenario]}: the last measured restore took ${durationText(ms)}, and the objective is ${durationText(rtoMs)}.`,
    ];
  });
  return texts.length === 0 ? undefined : texts.join(' ');
}

/** Tables are restored by themselves; until that was measured, the whole of it says how long it takes at most. */
export function measuredFor(scenario: Scenario, { wholeMs, tablesMs }: DatabaseFacts['measured']): number | undefined {
  return scenario === 'dataDeletion' ? (tablesMs ?? wholeMs) : wholeMs;
}
