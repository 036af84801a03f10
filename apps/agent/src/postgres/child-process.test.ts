import { once } from 'node:events';
import { waitFor } from '@strideiq/testkit';
import { expect, test } from 'vitest';
import { startChild } from './child-process.ts';

const isGone = (pid: number) => {
  try {
    return !process.kill(pid, 0);
  } catch {
    return true;
  }
};

test('stop does not wait for what a wrapper has started, although it holds the pipes', async () => {
  const child = startChild(['sh', '-c', 'sleep 60 & echo $!; wait']);
  const [pid] = (await once(child.stdout, 'data')) as [Buffer];
  const startedAt = performance.now();
  const outcome = await child.stop();
  expect(outcome.signal).toBe('SIGTERM');
  expect(performance.now() - startedAt).toBeLessThan(3000);
  process.kill(Number(pid));
});

test('a child that ended has ended, although something it started holds its standard error', async () => {
  const child = startChild(['sh', '-c', 'sleep 60 >/dev/null & echo $!; echo last words >&2; exit 3']);
  const [pid] = (await once(child.stdout, 'data')) as [Buffer];
  child.stdout.resume();
  expect(await child.ended).toMatchObject({ exitCode: 3, stderr: 'last words' });
  process.kill(Number(pid));
});

test('a slow reader gets everything of a child that ended long before', async () => {
  const child = startChild(['head', '-c', '300000', '/dev/zero']);
  let bytes = 0;
  for await (const piece of child.stdout as AsyncIterable<Buffer>) {
    bytes += piece.length;
    // The pipe holds the rest once it has ended.
    if (bytes > 200_000) await waitFor('its end', () => isGone(child.pid ?? 0));
  }
  expect(bytes).toBe(300_000);
  expect(await child.ended).toMatchObject({ exitCode: 0 });
});
