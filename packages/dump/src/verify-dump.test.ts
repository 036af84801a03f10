import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, test } from 'vitest';
import { readChunks } from './read-chunks.ts';
import { modelOf } from './testing/generated-dump.ts';
import { piecesOf } from './testing/pieces.ts';
import { copyText, dumpText, rangesOf, tocComment, written, type WrittenDump } from './testing/written-dump.ts';
import { verifyDump } from './verify-dump.ts';

const sql = dumpText(
  `${tocComment('TABLE')}CREATE TABLE a (a text);\n\n${copyText('a', ['1', 'two', '\\\\.'])}${copyText('b', [])}${tocComment('INDEX')}CREATE INDEX i ON a (a);\n\n`,
);

let dump: WrittenDump;
beforeAll(async () => {
  dump = await written(sql, { chunkBytes: 150, blockBytes: 200, level: 9 });
});

/** The object with one bit turned over. */
function flipped(bit: number): Buffer {
  const object = Buffer.from(dump.object);
  object[bit >>> 3] = (object[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
  return object;
}

describe('a damaged object', () => {
  test('has a problem whichever bit is turned, named by its chunk', async () => {
    for (let bit = 0; bit < dump.object.length * 8; bit += 3) {
      const { problems } = await verifyDump(piecesOf(flipped(bit), [bit >>> 4]), dump.result);
      const at = dump.result.chunks.findIndex(({ offset, length }) => bit >>> 3 < offset + length);
      expect(problems[0]).toContain(`Chunk ${at} of the dump`);
      expect(problems[0]).toContain(dump.result.chunks[at]?.sha256);
      expect(problems).toHaveLength(2);
    }
  });

  test('has none of the damaged chunk handed out by readChunks, held or read twice', async () => {
    const { chunks } = dump.result;
    for (let bit = 0; bit < dump.object.length * 8; bit += 5) {
      const at = chunks.findIndex(({ offset, length }) => bit >>> 3 < offset + length);
      const ranges = rangesOf(flipped(bit));
      const whole = await modelOf(readChunks(chunks.slice(0, at), ranges));
      for (const heldBytes of [1_000_000, 1]) {
        const found: unknown[] = [];
        const reading = async (): Promise<void> => {
          for await (const piece of readChunks(chunks, ranges, { heldBytes })) found.push(piece);
        };
        await expect(reading()).rejects.toMatchObject({
          code: 'ChunkCorrupt',
          message: expect.stringContaining(`at byte ${chunks[at]?.offset} of the object`),
        });
        expect(found).toHaveLength(whole.length);
      }
    }
  });

  test('has a problem wherever it is cut', async () => {
    for (let end = 0; end < dump.object.length; end++) {
      const cut = piecesOf(dump.object.subarray(0, end));
      const { problems } = await verifyDump(cut, dump.result);
      expect(problems.length, `${end}`).toBeGreaterThan(1);
      expect((await verifyDump(piecesOf(dump.object.subarray(0, end)))).problems.length, `${end}`).toBe(1);
    }
  });

  test('is judged without a manifest by its checksums and closing line', async () => {
    const single = gzipSync(sql);
    expect(await verifyDump(piecesOf(single))).toMatchObject({
      problems: [],
      closingLineSeen: true,
      rawBytes: sql.length,
    });
    // The last byte before the trailer ends in bits that mean nothing to gzip: the SQL is whole whatever they are.
    for (let bit = 80; bit < (single.length - 9) * 8; bit += 3) {
      const damaged = Buffer.from(single);
      damaged[bit >>> 3] = (damaged[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
      expect((await verifyDump(piecesOf(damaged))).problems, `${bit}`).toHaveLength(1);
    }
    const cut = gzipSync(sql.slice(0, sql.indexOf('-- PostgreSQL database dump complete')));
    expect((await verifyDump(piecesOf(cut))).problems).toEqual([expect.stringContaining('closing line')]);
    expect((await verifyDump(piecesOf(Buffer.concat([single, Buffer.alloc(8)])))).problems).toHaveLength(1);
    expect((await verifyDump(piecesOf(Buffer.from('no gzip')))).problems).toEqual([expect.stringContaining('gzip')]);
  });
});

describe('a dump of pg_dump --create', () => {
  const named = dumpText(`CREATE DATABASE x;\n\n\\connect x\n\n${copyText('a', ['1'])}`);

  test('is whole where there is no manifest, and no other psql command is', async () => {
    const found = await verifyDump(piecesOf(gzipSync(named)));
    expect(found).toMatchObject({ problems: [], tables: [{ schema: 'public', name: 'a', rows: 1 }] });
    const other = named.replace('\\connect x', '\\! x');
    expect((await verifyDump(piecesOf(gzipSync(other)))).problems).toEqual([expect.stringContaining('"\\\\! x"')]);
  });

  test('is no backup, and says what it is instead', async () => {
    await expect(written(named)).rejects.toMatchObject({
      code: 'MetaCommandRefused',
      message: expect.stringContaining('made with `pg_dump --create`'),
      cure: expect.stringContaining('Take the dump without --create'),
    });
    const object = gzipSync(named);
    const { bytes, sha256 } = await verifyDump(piecesOf(object));
    const chunk = { section: 'pre-data' as const, offset: 0, length: bytes, rawLength: named.length, sha256 };
    const { problems } = await verifyDump(piecesOf(object), { bytes, sha256, chunks: [chunk], tables: [] });
    expect(problems[0]).toContain('made with `pg_dump --create`');
  });
});

describe('a manifest of something else', () => {
  test('is told by rows, sizes, chunks and bytes behind the last one', async () => {
    const { object, result } = dump;
    const more = { ...result, tables: result.tables.map((table) => ({ ...table, rows: table.rows + 1 })) };
    expect((await verifyDump(piecesOf(object), more)).problems).toEqual([
      'The dump holds 3 rows of public.a where 4 were written.',
    ]);
    const [first, second, ...others] = result.chunks;
    if (!first || !second) throw new Error('the dump has too few chunks');
    const wrong = { ...second, rows: [{ table: 0, rows: 9 }], rawLength: second.rawLength };
    expect((await verifyDump(piecesOf(object), { ...result, chunks: [first, wrong, ...others] })).problems[0]).toMatch(
      /^Chunk 1 of the dump.* rows of public\.a where 9 were written\.$/,
    );
    const short = { ...first, rawLength: first.rawLength - 1 };
    expect((await verifyDump(piecesOf(object), { ...result, chunks: [short, second, ...others] })).problems[0]).toMatch(
      /^Chunk 0 of the dump/,
    );
    const behind = Buffer.concat([object, Buffer.from('x')]);
    expect((await verifyDump(piecesOf(behind), result)).problems).toHaveLength(2);
    const reading = modelOf(readChunks([{ ...first, rawLength: first.rawLength + 1 }], rangesOf(object)));
    await expect(reading).rejects.toMatchObject({ code: 'ChunkCorrupt' });
  });
});

describe('a source', () => {
  test('has its error passed on', async () => {
    const gone = new Error('gone');
    async function* breaking(): AsyncGenerator<Uint8Array> {
      yield dump.object.subarray(0, 50);
      throw gone;
    }
    await expect(verifyDump(breaking(), dump.result)).rejects.toBe(gone);
    await expect(modelOf(readChunks(dump.result.chunks, async () => breaking()))).rejects.toBe(gone);
  });
});
