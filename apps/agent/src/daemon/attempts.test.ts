import { beforeEach, expect, test } from 'vitest';
import { Attempts } from './attempts.ts';

const minuteMs = 60_000;
const { signal } = new AbortController();
let now: number;
let said: string[];
let tried: string[];
let attempts: Attempts;
/** By place: why the work fails; none where it succeeds. */
let reasons: Map<string, string>;

beforeEach(() => {
  now = Date.parse('2026-11-30T12:00Z');
  said = [];
  tried = [];
  reasons = new Map();
  attempts = new Attempts({ now: () => now, events: { warn: (text) => void said.push(text) } });
});

async function attempt(place = 'a store'): Promise<void> {
  await attempts.attempt(place, `could not look into ${place}`, signal, async () => {
    tried.push(place);
    const reason = reasons.get(place);
    if (reason !== undefined) throw new Error(reason);
  });
}

/** Asks each minute, and tells in which of them the work was done. */
async function triedWithin(minutes: number): Promise<number[]> {
  const at: number[] = [];
  for (let minute = 0; minute < minutes; minute++) {
    const before = tried.length;
    await attempt();
    if (tried.length > before) at.push(minute);
    now += minuteMs;
  }
  return at;
}

test('what fails rests, for longer each time, and in the end for a quarter of an hour', async () => {
  reasons.set('a store', 'It is away.');
  expect(await triedWithin(64)).toEqual([0, 1, 3, 8, 18, 33, 48, 63]);
});

test('what succeeds is done each time that it is asked for', async () => {
  expect(await triedWithin(3)).toEqual([0, 1, 2]);
  expect(said).toEqual([]);
});

test('why it fails is said once, and again as soon as it is something else', async () => {
  reasons.set('a store', 'It is away.');
  await triedWithin(30);
  expect(said).toEqual(['could not look into a store, and tries again in 1 min: It is away.']);
  reasons.set('a store', 'It is full.');
  await triedWithin(30);
  expect(said.slice(1)).toEqual(['could not look into a store, and tries again in 15 min: It is full.']);
});

test('what has succeeded is forgotten: it rests as shortly as at first, and the same reason is said again', async () => {
  reasons.set('a store', 'It is away.');
  await triedWithin(18);
  reasons.delete('a store');
  expect(await triedWithin(2)).toEqual([0, 1]);
  reasons.set('a store', 'It is away.');
  expect(await triedWithin(4)).toEqual([0, 1, 3]);
  expect(said).toEqual(Array(2).fill('could not look into a store, and tries again in 1 min: It is away.'));
});

test('one that rests keeps no other from being tried', async () => {
  reasons.set('a store', 'It is away.');
  await attempt('a store');
  await attempt('another');
  await attempt('a store');
  expect(tried).toEqual(['a store', 'another']);
});

test('a clock that was set back does not make anything wait for longer', async () => {
  reasons.set('a store', 'It is away.');
  await attempt();
  now -= 60 * minuteMs;
  await attempt();
  expect(tried).toHaveLength(2);
});

test('waits may be others', async () => {
  const events = { warn: (text: string) => void said.push(text) };
  attempts = new Attempts({ now: () => now, events, waitsMs: [60 * minuteMs] });
  reasons.set('a store', 'It is away.');
  expect(await triedWithin(121)).toEqual([0, 60, 120]);
  expect(said).toEqual(['could not look into a store, and tries again in 60 min: It is away.']);
});

test('told to stop it says nothing, and does not rest', async () => {
  const stop = new AbortController();
  const reason = new Error('Interrupted by SIGTERM.');
  const stopped = attempts.attempt('a store', 'could not look into a store', stop.signal, async () => {
    stop.abort(reason);
    throw new Error('cut');
  });
  await expect(stopped).rejects.toBe(reason);
  expect(said).toEqual([]);
  await attempt();
  expect(tried).toEqual(['a store']);
});
