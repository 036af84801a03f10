import { expect, test } from 'vitest';
import { within } from './within.ts';

const never = async () => new Promise<never>(() => undefined);

test('what is done in time is handed on, its error too', async () => {
  expect(await within(Promise.resolve(7), { limitMs: 1000 })).toBe(7);
  await expect(within(Promise.reject(new Error('its own')), { limitMs: 1000 })).rejects.toThrow('its own');
});

test('what never comes is late after the limit', async () => {
  await expect(within(never(), { limitMs: 1, late: () => new Error('late') })).rejects.toThrow('late');
});

test('an abort ends the wait, one that has been before too', async () => {
  const interruption = new AbortController();
  const waiting = within(never(), { signal: interruption.signal });
  interruption.abort(new Error('interrupted'));
  await expect(waiting).rejects.toThrow('interrupted');
  await expect(within(never(), { signal: interruption.signal })).rejects.toThrow('interrupted');
});
