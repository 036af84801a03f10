import { alertStates, type AlertState } from '../states.ts';
import type { Judgement } from './judgement.ts';
import { alertRules, severities, type RuleName, type Severity } from './rules.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** What opened in the last day counts for how restless a subject is. */
const latelyMs = dayMs;
/** How long one that came again must be over; each time twice as long. */
const restlessMs = 5 * minuteMs;
const mostRestlessMs = 6 * hourMs;

/** When somebody is reminded of what is open: so long after the word before it. The last one again and again. */
const reminders: Record<Severity, readonly number[]> = {
  critical: [hourMs, 2 * hourMs, 4 * hourMs, 8 * hourMs, dayMs],
  warning: [dayMs, 2 * dayMs, 4 * dayMs, 7 * dayMs],
  info: [],
};

/** A rule that holds for a subject, from when it was opened until it is resolved. */
export interface Alert {
  id: string;
  rule: RuleName;
  subject: string;
  state: AlertState;
  severity: Severity;
  text: string;
  openedAt: number;
  /** Since when it does not hold, while it may come again; null while it holds. */
  clearSince: number | null;
  resolvedAt: number | null;
  /** Until then nobody is told of it. */
  silencedUntil: number | null;
  /** Words of it so far, the first one counted. */
  told: number;
  /** When somebody is told again; null: not by itself. */
  remindAt: number | null;
}

/** How one that is not resolved goes on; one that was not there before is new. */
export interface AlertStep {
  alert: Alert;
  /** What there is to tell of it; undefined: nothing. */
  tells: 'opened' | 'reminder' | 'resolved' | undefined;
}

export interface AlertInput {
  now: number;
  judgements: readonly Judgement[];
  /** All that are not resolved. */
  open: readonly Alert[];
  /** Of what was opened in the last day or is silenced still, resolved ones too. */
  lately: readonly Pick<Alert, 'rule' | 'subject' | 'openedAt' | 'silencedUntil'>[];
  /** Since when rules hold that are no alerts yet, by `keyOf`. */
  pending: ReadonlyMap<string, number>;
  newId: () => string;
}

/** What a rule and a subject are known by together. */
export function keyOf({ rule, subject }: Pick<Judgement, 'rule' | 'subject'>): string {
  return `${rule} ${subject}`;
}

/**
 * How alerts go on by what rules say now. There is one at most for each rule and subject; what nobody can judge stays as it is,
 * and what nobody judges any more, since its subject is gone, is resolved.
 * @returns what has changed, and what holds and is no alert yet
 */
export function nextAlerts(input: AlertInput): { steps: AlertStep[]; pending: Map<string, number> } {
  const said = new Map(input.judgements.map((each) => [keyOf(each), each]));
  const pending = new Map<string, number>();
  const steps = input.open
    .map((alert) => goOn(alert, said.get(keyOf(alert)), input))
    .filter((step) => step !== undefined);
  const isOpen = new Set(input.open.map(keyOf));
  for (const [key, judged] of said) {
    if (isOpen.has(key)) continue;
    const since = input.pending.get(key);
    if (judged.holds === 'unknown' && since !== undefined) pending.set(key, since);
    if (judged.holds !== true) continue;
    if (input.now - (since ?? input.now) < alertRules[judged.rule].opensAfterMs) pending.set(key, since ?? input.now);
    else steps.push(opened(judged, input));
  }
  return { steps, pending };
}

/** How often it was opened in the last day. */
function timesLately({ rule, subject }: Pick<Alert, 'rule' | 'subject'>, { lately, now }: AlertInput): number {
  return lately.filter((each) => each.rule === rule && each.subject === subject && each.openedAt > now - latelyMs)
    .length;
}

function opened(judged: Judgement, input: AlertInput): AlertStep {
  const { rule, subject, text } = judged;
  const { now } = input;
  const severity = judged.severity ?? alertRules[rule].severity;
  // Whoever silenced the one before it did not mean it to come back by another name.
  const silences = input.lately.filter((each) => each.rule === rule && each.subject === subject);
  const silencedUntil = Math.max(...silences.map((each) => each.silencedUntil ?? 0), 0);
  const isSilent = silencedUntil > now;
  const alert: Alert = {
    id: input.newId(),
    rule,
    subject,
    state: isSilent ? alertStates.move('open', 'silenced') : alertStates.initial,
    severity,
    text,
    openedAt: now,
    clearSince: null,
    resolvedAt: null,
    silencedUntil: isSilent ? silencedUntil : null,
    told: 0,
    remindAt: null,
  };
  return isSilent ? { alert, tells: undefined } : { alert: toldOnce(alert, now), tells: 'opened' };
}

/** The word after the next one comes later. */
function toldOnce(alert: Alert, now: number): Alert {
  const waits = reminders[alert.severity];
  const wait = waits[Math.min(alert.told, waits.length - 1)];
  return { ...alert, told: alert.told + 1, remindAt: wait === undefined ? null : now + wait };
}

function goOn(before: Alert, judged: Judgement | undefined, input: AlertInput): AlertStep | undefined {
  const { now } = input;
  const alert = awake(before, now);
  if (judged?.holds === 'unknown') return changed(before, alert, now);
  if (judged?.holds === true) {
    const severity = judged.severity ?? alertRules[judged.rule].severity;
    // Who was told that it can wait hears that it cannot.
    const isWorse = severities.indexOf(severity) > severities.indexOf(alert.severity);
    const remindAt = isWorse && alert.state === 'open' ? now : alert.remindAt;
    return changed(before, { ...alert, text: judged.text, severity, clearSince: null, remindAt }, now);
  }
  const clearSince = alert.clearSince ?? now;
  // A subject that is gone does not come again.
  if (judged && now - clearSince < clearsAfterMs(alert, input)) return changed(before, { ...alert, clearSince }, now);
  const resolved: Alert = {
    ...alert,
    state: alertStates.move(alert.state, 'resolved'),
    clearSince,
    resolvedAt: now,
    remindAt: null,
  };
  // Whoever was never told of it need not hear that it is over.
  return { alert: resolved, tells: alert.told > 0 ? 'resolved' : undefined };
}

/** How long it must be over: what comes again and again is one trouble, and not many. */
function clearsAfterMs(alert: Alert, input: AlertInput): number {
  const { clearsAfterMs: usual } = alertRules[alert.rule];
  const times = timesLately(alert, input);
  if (times <= 1) return usual;
  return Math.max(usual, Math.min(restlessMs * 2 ** (times - 2), mostRestlessMs));
}

/** A silence that is over. */
function awake(alert: Alert, now: number): Alert {
  if (alert.state !== 'silenced' || (alert.silencedUntil ?? 0) > now) return alert;
  return { ...alert, state: alertStates.move(alert.state, 'open'), silencedUntil: null, remindAt: now };
}

/** What is over and may come again is no reason to remind anybody. */
function changed(before: Alert, alert: Alert, now: number): AlertStep | undefined {
  const isDue = alert.state === 'open' && alert.clearSince === null && alert.remindAt !== null && alert.remindAt <= now;
  if (isDue) return { alert: toldOnce(alert, now), tells: alert.told === 0 ? 'opened' : 'reminder' };
  const isSame = (Object.keys(alert) as (keyof Alert)[]).every((key) => alert[key] === before[key]);
  return isSame ? undefined : { alert, tells: undefined };
}

/** Somebody has taken it on: nobody is reminded of it any more. @throws CoreError `IllegalTransition` */
export function acknowledged(alert: Alert): Alert {
  return { ...alert, state: alertStates.move(alert.state, 'acknowledged'), silencedUntil: null, remindAt: null };
}

/** Nobody is told of it until then. @throws CoreError `IllegalTransition` */
export function silenced(alert: Alert, until: number): Alert {
  const state = alert.state === 'silenced' ? alert.state : alertStates.move(alert.state, 'silenced');
  return { ...alert, state, silencedUntil: until, remindAt: null };
}
