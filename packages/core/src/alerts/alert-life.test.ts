import fc from 'fast-check';
import { expect, test } from 'vitest';
import { acknowledged, keyOf, nextAlerts, silenced, type Alert, type AlertStep } from './alert-life.ts';
import type { Judgement } from './judgement.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const start = Date.parse('2026-01-11T03:00:00Z');

/** A control plane's alerts, by a clock that the test sets. */
class Story {
  now = start;
  readonly all: Alert[] = [];
  readonly told: { tells: NonNullable<AlertStep['tells']>; id: string; at: number }[] = [];
  pending: ReadonlyMap<string, number> = new Map();
  #ids = 0;

  get open(): Alert[] {
    return this.all.filter(({ resolvedAt }) => resolvedAt === null);
  }

  look(...judgements: Judgement[]): void {
    const next = nextAlerts({
      now: this.now,
      judgements,
      open: this.open,
      lately: this.all,
      pending: this.pending,
      newId: () => `alert-${++this.#ids}`,
    });
    this.pending = next.pending;
    for (const { alert, tells } of next.steps) {
      this.put(alert);
      if (tells) this.told.push({ tells, id: alert.id, at: this.now });
    }
  }

  put(alert: Alert): void {
    const at = this.all.findIndex(({ id }) => id === alert.id);
    if (at < 0) this.all.push(alert);
    else this.all[at] = alert;
  }

  /** Looks each minute for a while. */
  go(ms: number, judged: (now: number) => Judgement[]): void {
    const until = this.now + ms;
    for (; this.now < until; this.now += minute) this.look(...judged(this.now));
  }
}

const says = (holds: Judgement['holds'], rule: Judgement['rule'] = 'noBackup', subject = 'database:1'): Judgement => ({
  rule,
  subject,
  holds,
  text: holds === true ? 'it is so' : '',
});

test('one is opened once, says what was seen last, and is resolved by itself', () => {
  const story = new Story();
  story.look(says(true));
  story.now += minute;
  story.look({ ...says(true), text: 'it is worse' });
  expect(story.open).toMatchObject([{ state: 'open', openedAt: start, text: 'it is worse', severity: 'critical' }]);
  story.now += minute;
  story.look(says(false));
  expect(story.all).toMatchObject([{ state: 'resolved', resolvedAt: start + 2 * minute }]);
  expect(story.told.map(({ tells }) => tells)).toEqual(['opened', 'resolved']);
});

test('what ends by itself within the time that a rule gives it is none', () => {
  const story = new Story();
  story.go(4 * minute, () => [says(true, 'agentAway')]);
  story.look(says(false, 'agentAway'));
  story.go(4 * minute, () => [says(true, 'agentAway')]);
  expect(story.all).toEqual([]);
  story.go(2 * minute, () => [says(true, 'agentAway')]);
  expect(story.open).toHaveLength(1);
});

test('what nobody can judge stays as it is, and what nobody judges any more is resolved', () => {
  const story = new Story();
  story.look(says(true), says('unknown', 'diskLow', 'store:1'));
  story.now += day;
  story.look(says('unknown'));
  expect(story.open).toMatchObject([{ rule: 'noBackup', state: 'open' }]);
  story.look();
  expect(story.open).toEqual([]);
});

test('reminders come at growing intervals, and none once somebody has taken it on', () => {
  const story = new Story();
  story.go(5 * day, () => [says(true)]);
  const hours = story.told.map(({ at }) => (at - start) / hour);
  expect(hours).toEqual([0, 1, 3, 7, 15, 39, 63, 87, 111]);
  const [alert] = story.open;
  story.put(acknowledged(alert as Alert));
  story.go(5 * day, () => [says(true)]);
  expect(story.told).toHaveLength(9);
  story.look(says(false));
  expect(story.told.at(-1)?.tells).toBe('resolved');
});

test('a silence holds for one that ends and comes again, and what still holds after it is told', () => {
  const story = new Story();
  story.look(says(true));
  story.put(silenced(story.open[0] as Alert, story.now + 3 * day));
  story.go(hour, () => [says(true)]);
  story.go(hour, () => [says(false)]);
  story.go(2 * day, () => [says(true)]);
  expect(story.open).toMatchObject([{ state: 'silenced', told: 0 }]);
  expect(story.told.map(({ tells }) => tells)).toEqual(['opened', 'resolved']);
  story.go(22.5 * hour, () => [says(true)]);
  expect(story.told.map(({ tells }) => tells)).toEqual(['opened', 'resolved', 'opened']);
  expect(story.open).toMatchObject([{ state: 'open' }]);
});

test('one that was silenced and never told of ends without a word', () => {
  const story = new Story();
  story.look(says(true));
  story.put({ ...silenced(story.open[0] as Alert, story.now + day), told: 0 });
  story.now += hour;
  story.look(says(false));
  expect(story.told.map(({ tells }) => tells)).toEqual(['opened']);
});

test('what becomes worse is told of again', () => {
  const story = new Story();
  story.look({ ...says(true, 'drift', 'store:1'), severity: 'info' });
  story.now += hour;
  story.look(says(true, 'drift', 'store:1'));
  expect(story.told.map(({ tells }) => tells)).toEqual(['opened', 'reminder']);
  expect(story.open).toMatchObject([{ severity: 'warning' }]);
});

test.each([
  ['three minutes', 3 * minute],
  ['ten minutes', 10 * minute],
  ['half an hour', 30 * minute],
])('a host that comes and goes every %s in a night is a handful of alerts', (_, every) => {
  const story = new Story();
  story.go(10 * hour, (now) => [says(Math.floor((now - start) / every) % 2 === 0, 'agentAway', 'agent:1')]);
  story.go(12 * hour, () => [says(false, 'agentAway', 'agent:1')]);
  expect(story.open).toEqual([]);
  expect(story.all.length).toBeLessThanOrEqual(5);
});

/** What may happen between two looks. */
const eventArbitrary = fc.record({
  passes: fc.constantFrom(1000, minute, 5 * minute, hour, day),
  says: fc.array(fc.constantFrom(true, false, 'unknown' as const, undefined), { minLength: 4, maxLength: 4 }),
  does: fc.constantFrom('nothing', 'nothing', 'acknowledge', 'silence', 'restart'),
});
const subjects = [
  ['noBackup', 'database:1'],
  ['agentAway', 'agent:1'],
  ['copyFailed', 'store:1'],
  ['drift', 'store:1'],
] as const;

test('no sequence of events opens the same alert twice, or tells of its opening twice', () => {
  fc.assert(
    fc.property(fc.array(eventArbitrary, { maxLength: 60 }), (events) => {
      const story = new Story();
      for (const { passes, says: said, does } of events) {
        story.now += passes;
        if (does === 'restart') story.pending = new Map();
        for (const alert of story.open) {
          if (does === 'acknowledge' && alert.state !== 'acknowledged') story.put(acknowledged(alert));
          if (does === 'silence') story.put(silenced(alert, story.now + hour));
        }
        story.look(
          ...subjects.flatMap(([rule, subject], at) => {
            const holds = said[at];
            return holds === undefined ? [] : [says(holds, rule, subject)];
          }),
        );
        const open = story.open.map(keyOf);
        expect(new Set(open).size).toBe(open.length);
      }
      for (const { id, resolvedAt, openedAt } of story.all) {
        const words = story.told.filter((each) => each.id === id).map(({ tells }) => tells);
        expect(words.filter((word) => word === 'opened').length).toBeLessThanOrEqual(1);
        expect(words.filter((word) => word === 'resolved').length).toBeLessThanOrEqual(1);
        expect(words.indexOf('resolved')).toSatisfy((at: number) => at < 0 || at === words.length - 1);
        expect(resolvedAt ?? openedAt).toBeGreaterThanOrEqual(openedAt);
      }
    }),
  );
});
