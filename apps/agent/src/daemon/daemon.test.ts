import { waitFor } from '@strideiq/testkit';
import { expect, test } from 'vitest';
import { Daemon, type DaemonParts } from './daemon.ts';

test('what fails again and again is said once, and again once it was well meanwhile', async () => {
  const fails = [true, true, false, true, true];
  let looks = 0;
  const said: string[] = [];
  const nothing = () => undefined;
  const parts = {
    journal: { look: async () => undefined },
    link: undefined,
    commands: {
      resume: nothing,
      stop: async () => undefined,
      queue: { pump: nothing, clearIdle: async () => undefined },
    },
    servers: { look: async () => undefined },
    copies: { look: async () => undefined },
    stores: { look: async () => undefined },
    scheduler: {
      begin: nothing,
      look: () => {
        looks += 1;
        if (fails[looks - 1] === true) throw new Error('the disk is full');
      },
    },
    events: { info: nothing, warn: nothing, error: (text: string) => void said.push(text) },
  } as unknown as DaemonParts;
  const stop = new AbortController();
  const running = new Daemon(parts).run(stop.signal);
  await waitFor('the looks', () => looks > fails.length, { timeoutMs: 30_000 });
  stop.abort(new Error('it is over'));
  await running;
  expect(said).toEqual(['the disk is full', 'the disk is full']);
});
