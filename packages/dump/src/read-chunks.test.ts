import { describe, expect, it } from 'vitest';
import { ChunkBuffers } from './chunk-buffers.ts';
import { DumpError } from './errors.ts';
import { readChunks, type FetchRange, type ReadChunksOptions } from './read-chunks.ts';
import { copyText, dumpText, rangesOf, written, type WrittenDump } from './testing/written-dump.ts';

const rows = Array.from({ length: 400 }, (_, n) => `${n}\tsome text that makes the row longer`);
const sql = dumpText(copyText('a', rows) + copyText('b', rows));

async function textOf({ object, result }: WrittenDump, options: ReadChunksOptions): Promise<string> {
  let text = '';
  for await (const piece of readChunks(result.chunks, rangesOf(object), options)) {
    if (piece.kind === 'copy') for await (const part of piece.rows) text += part.toString();
  }
  return text;
}

describe('chunks that are fetched before they are asked for', () => {
  it('come in their order and whole, out of memory that is used again', async () => {
    const dump = await written(sql, { chunkBytes: 4096 });
    expect(dump.result.chunks.length).toBeGreaterThan(5);
    const expected = [...rows, ...rows].map((row) => `${row}\n`).join('');
    const buffers = new ChunkBuffers();
    for (const aheadBytes of [0, 200, 1024 * 1024]) {
      expect(await textOf(dump, { aheadBytes, buffers })).toBe(expected);
    }
  });

  it('are still checked before anything of them is handed out', async () => {
    const { object, result } = await written(sql, { chunkBytes: 4096 });
    const third = result.chunks[2];
    if (!third) throw new Error('the dump has too few chunks');
    const damaged = Buffer.from(object);
    damaged[third.offset + 20] = (damaged[third.offset + 20] ?? 0) ^ 1;
    const read: number[] = [];
    const reading = async () => {
      for await (const { chunk } of readChunks(result.chunks, rangesOf(damaged), { aheadBytes: 1024 * 1024 })) {
        read.push(result.chunks.indexOf(chunk));
      }
    };
    await expect(reading()).rejects.toThrow(DumpError);
    expect(Math.max(...read)).toBe(1);
  });

  it('are let go of by a reader who leaves early, also where they cannot be had', async () => {
    const { object, result } = await written(sql, { chunkBytes: 4096 });
    const ranges = rangesOf(object);
    let asked = 0;
    const fetch: FetchRange = async (offset, length) => {
      asked++;
      if (asked > 1) throw new Error('gone');
      return ranges(offset, length);
    };
    const pieces = readChunks(result.chunks, fetch, { aheadBytes: 1024 * 1024 });
    expect((await pieces.next()).done).toBe(false);
    await pieces.return(undefined);
    expect(asked).toBe(2);
  });
});

describe('memory for chunks', () => {
  it('is used again where it is large enough, and let go of where it is not', () => {
    const buffers = new ChunkBuffers();
    const small = buffers.take(10);
    buffers.give(small.subarray(1, 5));
    expect(buffers.take(small.length).buffer).toBe(small.buffer);
    buffers.give(small);
    const large = buffers.take(small.length + 1);
    expect(large.length).toBeGreaterThan(small.length);
    buffers.give(large);
    expect(buffers.take(1).buffer).toBe(large.buffer);
    expect(buffers.take(1).buffer).not.toBe(small.buffer);
  });
});
