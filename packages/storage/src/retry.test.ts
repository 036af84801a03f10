import { expect, test, vi } from 'vitest';
import { StorageError } from './errors.ts';
import { retrying } from './retry.ts';

const policy = { retries: 10, firstDelayMs: 0, longestDelayMs: 0, withinMs: 1_000 };

/** How often a call is tried whose tries take so long, by a clock of our own, and fail. */
async function triesOf(triesMs: number[], more: { silenceMs?: number } = {}): Promise<number> {
  let nowMs = 0;
  let tries = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  const attempt = async (): Promise<never> => {
    nowMs += triesMs[tries++] ?? 0;
    throw new StorageError('StorageUnreachable', 'Silent.', 'Wait.');
  };
  await expect(retrying(attempt, { ...policy, ...more })).rejects.toMatchObject({ code: 'StorageUnreachable' });
  clock.mockRestore();
  return tries;
}

test('no try begins once the limit has passed since the beginning', async () => {
  expect(await triesOf([400, 400, 400, 400])).toBe(3);
  expect(await triesOf([10, 1_000, 1_000])).toBe(2);
});

test('a first silence as long as the limit has a second try; one much longer has none', async () => {
  expect(await triesOf([1_000, 1_000, 1_000])).toBe(2);
  expect(await triesOf([1_010, 1_000, 1_000])).toBe(2);
  expect(await triesOf([6_000])).toBe(1);
});

test('of a try that took longer than it can be silent, only that counts', async () => {
  expect(await triesOf([90_000, 90_000, 90_000], { silenceMs: 1_000 })).toBe(2);
  expect(await triesOf([90_000, 90_000, 90_000, 90_000], { silenceMs: 400 })).toBe(3);
});

test('the number of tries holds all the same', async () => {
  expect(await triesOf([])).toBe(policy.retries + 1);
});
