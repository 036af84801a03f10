import { durationText } from '../duration-text.ts';
import type { DatabaseFacts, StoreFacts } from './database-facts.ts';
import { lastDue } from './due-gaps.ts';
import { judgement, type Judgement, type Verdict } from './judgement.ts';
import type { RuleName } from './rules.ts';
import { sizeText } from './size-text.ts';

const dayMs = 86_400_000;
/** Backups grow. */
const growth = 1.2;
/** Of what is wrong in a store so much is told; the rest is a number. */
const mostTold = 3;

/** Everything that rules say of one store of a database. */
export function judgeStore(facts: DatabaseFacts, store: StoreFacts, now: number): Judgement[] {
  const subject = `store:${store.id}`;
  const verdicts: [RuleName, Verdict][] = [
    ['copyFailed', store.copyFailed === undefined ? undefined : `In ${store.name}: ${store.copyFailed}`],
    ['diskLow', diskLow(facts, store)],
    ['storeAway', storeAway(store)],
    ['verifyFailed', listed(store.name, store.damaged)],
    ['verifyOverdue', verifyOverdue(facts, store, now)],
    ['retentionWaits', store.retentionWaits === null ? undefined : `In ${store.name}: ${store.retentionWaits}`],
  ];
  return [...verdicts.map(([rule, verdict]) => judgement(rule, subject, verdict)), driftOfStore(store, subject)];
}

function listed(name: string, items: readonly string[]): string | undefined {
  if (items.length === 0) return undefined;
  const more = items.length > mostTold ? ` And ${items.length - mostTold} more.` : '';
  return `In ${name}: ${items.slice(0, mostTold).join(' ')}${more}`;
}

/** What is there and should not be is somebody's leftovers, and costs nobody their sleep. */
function driftOfStore({ name, drift: { wrong, strange } }: StoreFacts, subject: string): Judgement {
  const text = listed(name, [...wrong, ...strange]);
  const said = { rule: 'drift' as const, subject, holds: text !== undefined, text: text ?? '' };
  return wrong.length > 0 || text === undefined ? said : { ...said, severity: 'info' };
}

function storeAway({ name, error }: StoreFacts): Verdict {
  if (error === null) return 'unknown';
  return error === undefined ? undefined : `${name}: ${error}`;
}

function diskLow({ good: [newest], policy }: DatabaseFacts, { name, type, freeBytes }: StoreFacts): Verdict {
  if (type === 's3') return undefined;
  if (freeBytes === undefined) return 'unknown';
  const { diskFreeBytes } = policy.alerts;
  const needed = Math.ceil((newest?.bytes ?? 0) * growth);
  if (freeBytes < needed)
    return `${name} has ${sizeText(freeBytes)} left, and the next backup needs about ${sizeText(needed)}.`;
  return freeBytes < diskFreeBytes
    ? `${name} has ${sizeText(freeBytes)} left, and the least is ${sizeText(diskFreeBytes)}.`
    : undefined;
}

function verifyOverdue({ policy, policySince }: DatabaseFacts, store: StoreFacts, now: number): Verdict {
  const { name, type, oldestCopyAt, firstSeenAt, verifiedAt } = store;
  const { afterBackup, schedule } = policy.verify;
  if (oldestCopyAt === null || (policy.pause && Date.parse(policy.pause.until) > now)) return undefined;
  const last = verifiedAt === null ? 'none was ever' : `the last one was ${durationText(now - verifiedAt)} ago`;
  if (type === 'directory') {
    const { newestUnverifiedAt } = store;
    if (!afterBackup || newestUnverifiedAt === null) return undefined;
    return now - Math.max(newestUnverifiedAt, policySince) > dayMs
      ? `In ${name} each backup is to be read back, and ${last}.`
      : undefined;
  }
  if (schedule === 'never') return undefined;
  const since = Math.max(policySince, firstSeenAt, oldestCopyAt);
  const due = lastDue({ line: schedule, timezone: policy.timezone }, { now, graceMs: dayMs, since });
  if (due === undefined || (verifiedAt ?? 0) >= due) return undefined;
  return `In ${name} a copy was to be read back at ${new Date(due).toISOString()}, and ${last}.`;
}
