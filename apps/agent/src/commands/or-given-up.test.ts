import { expect, test } from 'vitest';
import { orGivenUp } from './or-given-up.ts';

const stopped = new Error('stopped');

test('work that never ends is given up, but not before it is told to end', async () => {
  const stop = new AbortController();
  let over = false;
  const waiting = orGivenUp(new Promise<never>(() => undefined), stop.signal, 20).finally(() => (over = true));
  await new Promise((resolve) => setImmediate(resolve));
  expect(over).toBe(false);
  stop.abort(stopped);
  await expect(waiting).rejects.toBe(stopped);
});

test('work that ends in good order once it is told to is not hurried', async () => {
  const stop = new AbortController();
  const { promise, resolve } = Promise.withResolvers<string>();
  stop.signal.addEventListener('abort', () => resolve('ended'));
  const waiting = orGivenUp(promise, stop.signal, 60_000);
  stop.abort(stopped);
  expect(await waiting).toBe('ended');
  expect(await orGivenUp(Promise.resolve('at once'), stop.signal, 60_000)).toBe('at once');
});
