import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { gunzip } from './gunzip.ts';
import { evenPieces, gather, piecesOf } from './testing/pieces.ts';

const text = Buffer.from(Array.from({ length: 300 }, (_, at) => `row ${at * 7919}\n`).join(''));
const members = [text, Buffer.alloc(0), text.subarray(0, 10)].map((part) => gzipSync(part));
const file = Buffer.concat(members);
const ends = members.map((_, at) => Buffer.concat(members.slice(0, at + 1)).length);
const plain = Buffer.concat([text, text.subarray(0, 10)]);

describe('gunzip', () => {
  test('reads members in a row, cut anywhere on their way', async () => {
    for (let cut = 0; cut <= file.length; cut++) {
      expect(await gather(gunzip(piecesOf(file, [cut])))).toEqual(plain);
    }
    expect(await gather(gunzip(evenPieces(file, 1)))).toEqual(plain);
  });

  test('refuses a file that ends anywhere but after a member', async () => {
    const inside = Array.from({ length: file.length }, (_, end) => end).filter((end) => !ends.includes(end));
    for (const end of inside) {
      const reading = gather(gunzip(piecesOf(file.subarray(0, end), [end >>> 1])));
      await expect(reading, `${end}`).rejects.toMatchObject({ code: 'DumpTruncated' });
    }
    for (const end of ends)
      expect(plain.equals(await gather(gunzip(piecesOf(file.subarray(0, end)))))).toBe(end === ends.at(-1));
  });

  test.each([
    ['zero padding', Buffer.alloc(512)],
    ['one zero', Buffer.alloc(1)],
    ['text', Buffer.from('rest of another file')],
    ['half a magic', Buffer.from([0x1f, 0x00])],
  ])('refuses %s behind the last member, in the same piece or a later one', async (_, rest) => {
    const padded = Buffer.concat([file, rest]);
    for (const cuts of [[], [file.length], [file.length - 1], [file.length, file.length + 1]]) {
      await expect(gather(gunzip(piecesOf(padded, cuts)))).rejects.toMatchObject({ code: 'DumpCorrupt' });
    }
  });

  test('says what is no gzip, and what is damaged and where', async () => {
    await expect(gather(gunzip(piecesOf(text)))).rejects.toMatchObject({ code: 'NotGzip' });
    const damaged = Buffer.from(file);
    damaged[400] = (damaged[400] ?? 0) ^ 0x55;
    await expect(gather(gunzip(piecesOf(damaged)))).rejects.toMatchObject({ code: 'DumpCorrupt' });
  });

  test('passes on what the source throws', async () => {
    const gone = new Error('gone');
    async function* breaking(): AsyncGenerator<Uint8Array> {
      yield file.subarray(0, 100);
      throw gone;
    }
    await expect(gather(gunzip(breaking()))).rejects.toBe(gone);
  });

  test('ends the source when its reader stops', async () => {
    let ended = false;
    async function* source(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield file;
      } finally {
        ended = true;
      }
    }
    for await (const piece of gunzip(source())) {
      expect(piece.length).toBeGreaterThan(0);
      break;
    }
    await expect.poll(() => ended).toBe(true);
  });

  test('stops at a size, and at what no database expands to', async () => {
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));
    await expect(gather(gunzip(piecesOf(bomb), { maxBytes: 1_000_000 }))).rejects.toMatchObject({
      code: 'DumpExpandsTooFar',
    });
    async function* many(): AsyncGenerator<Uint8Array> {
      for (;;) yield bomb;
    }
    const drain = async (): Promise<void> => {
      for await (const piece of gunzip(many())) expect(piece.length).toBeLessThanOrEqual(256 * 1024);
    };
    await expect(drain()).rejects.toMatchObject({ code: 'DumpExpandsTooFar' });
  });
});
