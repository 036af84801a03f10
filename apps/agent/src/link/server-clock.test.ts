import { expect, test } from 'vitest';
import { ServerClock } from './server-clock.ts';

test('goes as the control plane’s does, whatever this host’s says', () => {
  let now = 1_000_000;
  const clock = new ServerClock(() => now);
  expect([clock.now(), clock.offsetMs]).toEqual([undefined, undefined]);
  now += 200;
  // Asked at 1,000,000 and answered at 1,000,200: it was read in between.
  clock.learn(new Date(5_000_100).toISOString(), 1_000_000);
  expect([clock.now(), clock.offsetMs]).toEqual([5_000_200, 4_000_000]);
  now += 60_000;
  expect(clock.now()).toBe(5_060_200);
  clock.learn('never', now);
  expect(clock.offsetMs).toBe(4_000_000);
});
