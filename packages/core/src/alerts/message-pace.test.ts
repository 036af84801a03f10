import fc from 'fast-check';
import { expect, test } from 'vitest';
import { afterMessage, nextMessageAt, type MessagePace } from './message-pace.ts';

const minute = 60_000;
const hour = 60 * minute;

/** When messages go out, where something happens at each of those moments. */
function messagesOf(happens: readonly number[], until: number): number[] {
  let pace: MessagePace | undefined;
  let untoldSince: number | undefined;
  const sent: number[] = [];
  let next = 0;
  for (let now = 0; now <= until; now += 15_000) {
    for (; next < happens.length && (happens[next] as number) <= now; next++) untoldSince ??= happens[next];
    if (untoldSince === undefined || now < nextMessageAt(pace, untoldSince)) continue;
    pace = afterMessage(pace, now);
    untoldSince = undefined;
    sent.push(now);
  }
  return sent;
}

test('what comes within half a minute is one message, and it comes within a minute', () => {
  expect(messagesOf([0, 1000, 20_000], hour)).toEqual([30_000]);
});

test('three hours in which something happens all the time are a handful of messages', () => {
  const happens = Array.from({ length: 180 }, (_, at) => at * minute);
  expect(messagesOf(happens, 6 * hour).map((at) => Math.round(at / minute))).toEqual([1, 6, 16, 36, 76, 136, 196]);
});

test('after a quiet time what comes is told at once again', () => {
  expect(messagesOf([0, 3 * hour], 4 * hour)).toEqual([30_000, 3 * hour + 30_000]);
});

test('nothing is left untold for more than an hour, and a day has few messages whatever happens', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 24 * hour }), { minLength: 1, maxLength: 300 }), (moments) => {
      const happens = moments.toSorted((one, other) => one - other);
      const sent = messagesOf(happens, 26 * hour);
      expect(sent.length).toBeLessThanOrEqual(30);
      for (const at of happens) expect(sent.some((each) => each >= at && each <= at + hour + minute)).toBe(true);
    }),
    { numRuns: 30 },
  );
});
