import { execFileSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { propertyRuns, waitFor } from '@strideiq/testkit';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { openLibdeflate, type Libdeflate } from './libdeflate.ts';
import { LibdeflateCompressor, memberCompressor, zlib, type MemberCompressor } from './member-compressor.ts';

let library: Libdeflate;
let libdeflate: LibdeflateCompressor;

beforeAll(async () => {
  const found = await openLibdeflate();
  if (!found) throw new Error('libdeflate is not installed: npm run setup');
  library = found;
  libdeflate = new LibdeflateCompressor(library);
});

const both = (): MemberCompressor[] => [zlib, libdeflate];
/** One member, copied and let go. */
async function memberOf(compressor: MemberCompressor, block: Buffer, level: number): Promise<Buffer> {
  using member = await compressor.compress(block, level);
  return Buffer.from(member.bytes);
}

const everyLevel = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

/** Rows as COPY writes them, the same each time. */
function rows(bytes: number, seed = 1): Buffer {
  let text = '';
  let state = seed;
  while (text.length < bytes) {
    state = (state * 48271) % 2147483647;
    text += `${state}\t2026-01-${(state % 28) + 1} 06:${state % 60}\t{${state % 997},${state % 991},${state % 983}}\t\\N\n`;
  }
  return Buffer.from(text.slice(0, bytes));
}

const blocks = fc.oneof(
  fc.uint8Array({ maxLength: 3000 }).map((bytes) => Buffer.from(bytes)),
  fc.tuple(fc.nat(70_000), fc.integer({ min: 1, max: 1000 })).map(([bytes, seed]) => rows(bytes, seed)),
);

describe('members', () => {
  test('hold their block, one after another too, as stock gzip reads them', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(blocks, { minLength: 1, maxLength: 5 }),
        fc.constantFrom(...everyLevel),
        async (all, level) => {
          for (const compressor of both()) {
            const members = await Promise.all(all.map(async (block) => memberOf(compressor, block, level)));
            for (const [at, member] of members.entries()) expect(gunzipSync(member)).toEqual(all[at]);
            expect(execFileSync('gzip', ['-dc'], { input: Buffer.concat(members) })).toEqual(Buffer.concat(all));
          }
        },
      ),
      { numRuns: propertyRuns(15) },
    );
  });

  test('are the same for the same block and level, whatever else is or was under way', async () => {
    const all = Array.from({ length: 24 }, (_, at) => rows(512 * 1024 - 7 * at, at + 1));
    for (const level of [1, 4, 6]) {
      const alone: Buffer[] = [];
      for (const block of all) alone.push(await memberOf(new LibdeflateCompressor(library), block, level));
      const made = await Promise.all(all.map(async (block) => memberOf(libdeflate, block, level)));
      const again = await Promise.all(all.toReversed().map(async (block) => memberOf(libdeflate, block, level)));
      expect(made.every((member, at) => member.equals(alone[at]!))).toBe(true);
      expect(again.toReversed().every((member, at) => member.equals(alone[at]!))).toBe(true);
    }
  });

  test('are whole when nobody else holds the block any more', async () => {
    const made = Array.from({ length: 40 }, async (_, at) => memberOf(libdeflate, rows(300_000, at + 1), 1));
    // Memory that was given back too early would be written over by this.
    const garbage = Array.from({ length: 200 }, () => Buffer.alloc(512 * 1024, 0xff));
    for (const [at, member] of (await Promise.all(made)).entries()) {
      expect(gunzipSync(member).equals(rows(300_000, at + 1))).toBe(true);
    }
    expect(garbage).toHaveLength(200);
  });

  test('keep their bytes until they are disposed of, whatever is made meanwhile', async () => {
    const compressor = new LibdeflateCompressor(library);
    const block = rows(300_000);
    const first = await compressor.compress(block, 1);
    for (let seed = 2; seed < 10; seed++) await memberOf(compressor, rows(300_000, seed), 1);
    compressor.release();
    expect(gunzipSync(first.bytes).equals(block)).toBe(true);
    first[Symbol.dispose]();
    first[Symbol.dispose]();
    using next = await compressor.compress(rows(300_000, 2), 1);
    expect(next.bytes.buffer).toBe(first.bytes.buffer);
    using other = await compressor.compress(rows(300_000, 3), 1);
    expect(other.bytes.buffer).not.toBe(next.bytes.buffer);
  });

  test('are no larger at a higher level', async () => {
    const block = rows(512 * 1024);
    const sizes = await Promise.all(everyLevel.map(async (level) => (await memberOf(libdeflate, block, level)).length));
    expect(sizes).toEqual(sizes.toSorted((a, b) => b - a));
    expect(sizes[0]).toBeGreaterThan(block.length);
    expect(sizes[9]).toBeLessThan(sizes[1]! * 0.99);
  });
});

describe('compressor objects', () => {
  /** libdeflate itself, and how many of its compressors are there. */
  function counted() {
    const held = { now: 0, most: 0 };
    const counting: Libdeflate = {
      ...library,
      allocate: (level) => {
        held.most = Math.max(held.most, ++held.now);
        return library.allocate(level);
      },
      free: (handle) => {
        held.now--;
        library.free(handle);
      },
    };
    return { held, compressor: new LibdeflateCompressor(counting) };
  }

  test('are as many as blocks at once, used again, and given back once nothing comes', async () => {
    const { held, compressor } = counted();
    for (let round = 0; round < 5; round++) {
      await Promise.all([1, 2, 3].map(async (seed) => memberOf(compressor, rows(1000, seed), 4)));
    }
    expect(held).toEqual({ now: 3, most: 3 });
    await waitFor('the compressors to be given back', () => held.now === 0);
    await memberOf(compressor, rows(1000), 4);
    expect(held).toEqual({ now: 1, most: 3 });
    compressor.release();
    expect(held.now).toBe(0);
  });

  test('are not given back while they work', async () => {
    const { held, compressor } = counted();
    const block = rows(4_000_000);
    const made = memberOf(compressor, block, 9);
    await delay(0);
    compressor.release();
    expect(held.now).toBe(1);
    expect(gunzipSync(await made).equals(block)).toBe(true);
  });

  test('that make nothing are an error, and so are those that are not to be had', async () => {
    const cramped = new LibdeflateCompressor({ ...library, bound: () => 20 });
    await expect(cramped.compress(rows(1000), 4)).rejects.toMatchObject({ code: 'CompressionFailed' });
    const short = new LibdeflateCompressor({ ...library, allocate: () => undefined });
    await expect(short.compress(rows(1000), 4)).rejects.toMatchObject({ code: 'CompressionFailed' });
  });
});

describe('the choice', () => {
  test('is libdeflate where it is installed', async () => {
    expect((await memberCompressor()).name).toBe('libdeflate');
  });

  test('leaves out a library that is not there, or is another', async () => {
    expect(await openLibdeflate(['libno-such-library.so.0'])).toBeUndefined();
    expect(await openLibdeflate([process.platform === 'darwin' ? 'libSystem.dylib' : 'libc.so.6'])).toBeUndefined();
  });
});
