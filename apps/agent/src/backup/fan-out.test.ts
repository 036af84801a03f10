import { stat } from 'node:fs/promises';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { FanOut, type Feed } from './fan-out.ts';

const block = (size = 600_000, fill = 1) => Buffer.alloc(size, fill);

async function drain(feed: Feed): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of feed) {
    await turn();
    // As late as may be: it is the store's until it asks for the next.
    pieces.push(Buffer.from(piece));
  }
  feed.close();
  return Buffer.concat(pieces);
}

test('every store gets every byte, in order', async () => {
  const fanOut = new FanOut(60_000);
  const all = [drain(fanOut.feed()), drain(fanOut.feed())];
  const buffer = block(300_000);
  for (let at = 0; at < 20; at++) {
    await fanOut.write(buffer.fill(at));
    buffer.fill(0xff);
  }
  fanOut.end();
  const [first, second] = await Promise.all(all);
  expect(first?.equals(second ?? Buffer.alloc(0))).toBe(true);
  expect(first?.length).toBe(6_000_000);
  expect([first?.[0], first?.at(-1)]).toEqual([0, 19]);
});

test('the slowest store sets the pace: nothing waits for it but what it has not taken yet', async () => {
  const fanOut = new FanOut(60_000);
  const fast = drain(fanOut.feed());
  const slow = fanOut.feed();
  let written = 0;
  const writing = (async () => {
    for (let at = 0; at < 10; at++) {
      await fanOut.write(block());
      written++;
    }
    fanOut.end();
  })();
  for (let at = 0; at < 50; at++) await turn();
  expect(written).toBe(0);
  expect((await drain(slow)).length).toBe(6_000_000);
  await Promise.all([writing, fast]);
});

test('a store that fails is left behind, and the others go on', async () => {
  const fanOut = new FanOut(60_000);
  const broken = fanOut.feed();
  const whole = drain(fanOut.feed());
  broken.close();
  for (let at = 0; at < 5; at++) await fanOut.write(block());
  fanOut.end();
  expect((await whole).length).toBe(3_000_000);
});

test('a store that takes nothing is dropped after the stall limit, told so, and aborted', async () => {
  const fanOut = new FanOut(50);
  const stalled = fanOut.feed();
  const whole = drain(fanOut.feed());
  for (let at = 0; at < 5; at++) await fanOut.write(block());
  fanOut.end();
  expect((await whole).length).toBe(3_000_000);
  expect(stalled.signal.aborted).toBe(true);
  await expect(drain(stalled)).rejects.toMatchObject({ code: 'StoreStalled' });
});

test('a process that was frozen for longer than the limit drops no store that was done meanwhile', async () => {
  const fanOut = new FanOut(50);
  const feed = fanOut.feed();
  const begun = Promise.withResolvers<void>();
  const stored = (async () => {
    for await (const piece of feed) {
      const done = stat(import.meta.filename);
      begun.resolve();
      await done;
      expect(piece).toHaveLength(600_000);
    }
  })();
  // From where timers are heard before files.
  await turn();
  const writing = fanOut.write(block());
  await begun.promise;
  const frozenUntil = performance.now() + 200;
  while (performance.now() < frozenUntil);
  await writing;
  expect(feed.signal.aborted).toBe(false);
  fanOut.end();
  await stored;
});

test('a stream that was closed before its end is no whole one to whoever still reads it', async () => {
  const fanOut = new FanOut(60_000);
  const feed = fanOut.feed();
  const reading = drain(feed);
  feed.close();
  fanOut.end();
  await expect(reading).rejects.toThrow('closed before its end');
});

test('with no store left, writing says so; after a failure it says that failure', async () => {
  const none = new FanOut(60_000);
  none.feed().close();
  await expect(none.write(block())).rejects.toMatchObject({ code: 'NoCopyStored' });
  const failed = new FanOut(60_000);
  const source = drain(failed.feed());
  failed.fail(new Error('pg_dump died'));
  await expect(source).rejects.toThrow('pg_dump died');
  await expect(failed.write(block())).rejects.toThrow('pg_dump died');
});
