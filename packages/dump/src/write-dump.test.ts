import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { propertyRuns } from '@strideiq/testkit';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { gunzip } from './gunzip.ts';
import { readChunks } from './read-chunks.ts';
import { readDump } from './read-dump.ts';
import { generatedDump, modelOf, type ModelPiece } from './testing/generated-dump.ts';
import { gather, piecesOf } from './testing/pieces.ts';
import { copyText, dumpText, rangesOf, tocComment, written } from './testing/written-dump.ts';
import { verifyDump } from './verify-dump.ts';
import { writeDump } from './write-dump.ts';

/** Chunks divide a table's rows; put together again they are what pg_dump wrote. */
function joined(pieces: ModelPiece[]): ModelPiece[] {
  const whole: ModelPiece[] = [];
  for (const piece of pieces) {
    const last = whole.at(-1);
    const goesOn = last?.kind === 'copy' && piece.kind === 'copy' && last.header === piece.header;
    if (goesOn) whole[whole.length - 1] = { ...last, rows: last.rows + piece.rows };
    else whole.push(piece);
  }
  return whole;
}

function rowsOf(piece: ModelPiece): number {
  return piece.kind === 'copy' ? piece.rows.split('\n').length - 1 : 0;
}

const sizes = fc.record({
  level: fc.constantFrom(0, 1, 4, 9),
  blockBytes: fc.integer({ min: 1, max: 700 }),
  chunkBytes: fc.integer({ min: 1, max: 900 }),
  membersInFlight: fc.integer({ min: 1, max: 4 }),
});

describe('writeDump', () => {
  test('loses and adds nothing but the ends and beginnings of continued COPYs', async () => {
    await fc.assert(
      fc.asyncProperty(generatedDump, sizes, async ({ text, pieces }, options) => {
        const { object, result } = await written(text, options);
        const sql = gunzipSync(object);
        expect(joined(await modelOf(readDump(piecesOf(sql))))).toEqual(joined(pieces));
        expect(result.rawBytes).toBe(sql.length);
        expect(result.bytes).toBe(object.length);
        expect(result.sha256).toBe(createHash('sha256').update(object).digest('hex'));
        expect(await gather(gunzip(piecesOf(object, [1, 17])))).toEqual(sql);
        const rows = pieces.reduce((sum, piece) => sum + rowsOf(piece), 0);
        expect(result.tables.reduce((sum, table) => sum + table.rows, 0)).toBe(rows);
        expect(await verifyDump(piecesOf(object), result)).toMatchObject({ problems: [], tables: result.tables });
        expect((await verifyDump(piecesOf(object))).problems).toEqual([]);
      }),
      { numRuns: propertyRuns(150) },
    );
  });

  test('gives the same bytes and index whatever the pieces that come in', async () => {
    await fc.assert(
      fc.asyncProperty(generatedDump, sizes, fc.array(fc.nat()), async ({ text }, options, cuts) => {
        const length = Buffer.byteLength(text);
        const cut = await written(
          text,
          options,
          cuts.map((at) => at % length),
        );
        expect(cut).toEqual(await written(text, options));
      }),
      { numRuns: propertyRuns(150) },
    );
  });

  test('makes each chunk restorable alone, and indexes every byte and row', async () => {
    await fc.assert(
      fc.asyncProperty(generatedDump, sizes, async ({ text, pieces }, options) => {
        const { object, result } = await written(text, options);
        const alone: ModelPiece[] = [];
        let end = 0;
        for (const chunk of result.chunks) {
          expect(chunk.offset).toBe(end);
          end += chunk.length;
          const sql = gunzipSync(object.subarray(chunk.offset, end));
          expect(sql.length).toBe(chunk.rawLength);
          const found = await modelOf(readChunks([chunk], rangesOf(object)));
          expect(found.every(({ section }) => section === chunk.section)).toBe(true);
          const counted = (chunk.rows ?? []).reduce((sum, { rows }) => sum + rows, 0);
          expect(found.reduce((sum, piece) => sum + rowsOf(piece), 0)).toBe(counted);
          alone.push(...found);
        }
        expect(end).toBe(object.length);
        // A COPY of no rows looks like one that goes on, so both sides are joined.
        expect(joined(alone)).toEqual(joined(pieces));
      }),
      { numRuns: propertyRuns(150) },
    );
  });

  test('ends chunks at rows and sections, shares them between small tables, and keeps transactions whole', async () => {
    const lob = `BEGIN;\n\nSELECT pg_catalog.lo_open('1', 131072);\nSELECT pg_catalog.lowrite(0, '\\x${'00'.repeat(300)}');\nSELECT pg_catalog.lo_close(0);\n\nCOMMIT;\n\n\n`;
    const sql = dumpText(
      [
        tocComment('TABLE', 'a'),
        'CREATE TABLE a (a text);\n\n\n',
        copyText('a', ['1', '2']),
        copyText('b', ['']),
        copyText('c', []),
        copyText(
          'long',
          Array.from({ length: 100 }, (_, at) => `row ${at}`),
        ),
        tocComment('BLOBS'),
        lob,
        "SET default_tablespace = 'fast';\n\n",
        tocComment('INDEX', 'i'),
        'CREATE INDEX i ON a (a);\n\n\n',
      ].join(''),
    );
    const { object, result } = await written(sql, { chunkBytes: 400 });
    const texts = result.chunks.map(({ offset, length }) =>
      gunzipSync(object.subarray(offset, offset + length)).toString(),
    );
    expect(result.tables).toEqual([
      { schema: 'public', name: 'a', rows: 2 },
      { schema: 'public', name: 'b', rows: 1 },
      { schema: 'public', name: 'c', rows: 0 },
      { schema: 'public', name: 'long', rows: 100 },
    ]);
    expect(result.chunks.map(({ section, rows }) => ({ section, rows }))).toEqual([
      { section: 'pre-data', rows: undefined },
      {
        section: 'data',
        rows: [
          { table: 0, rows: 2 },
          { table: 1, rows: 1 },
          { table: 2, rows: 0 },
          { table: 3, rows: 1 },
        ],
      },
      { section: 'data', rows: [{ table: 3, rows: 54 }] },
      { section: 'data', rows: [{ table: 3, rows: 45 }] },
      { section: 'data', rows: undefined },
      { section: 'post-data', rows: undefined },
    ]);
    expect(texts[2]).toMatch(/^COPY public\.long \(a\) FROM stdin;\nrow 1\n[^]*row 54\n\\\.\n\n$/);
    expect(texts[4]).toContain('BEGIN;');
    expect(texts[4]).toContain('COMMIT;');
    expect(texts[5]).toMatch(/^\n\nSET default_tablespace = 'fast';/);
  });

  test('reads the last values of sequences', async () => {
    const sql = dumpText(
      `${tocComment('SEQUENCE SET')}SELECT pg_catalog.setval('public."it''s ""one"""', 9007199254740993, true);\n\nSELECT pg_catalog.setval('s.t', -5, false);\n`,
    );
    expect((await written(sql)).result.sequences).toEqual([
      { schema: 'public', name: 'it\'s "one"', lastValue: '9007199254740993', isCalled: true },
      { schema: 's', name: 't', lastValue: '-5', isCalled: false },
    ]);
  });

  test('forwards a huge row in pieces, and stock gzip reads what comes out', async () => {
    const huge = randomBytes(3_000_000).toString('hex');
    const sql = dumpText(copyText('a', ['small', huge, 'last']));
    let largest = 0;
    const parts: Buffer[] = [];
    const sink = async (bytes: Buffer): Promise<void> => {
      largest = Math.max(largest, bytes.length);
      parts.push(Buffer.from(bytes));
    };
    const cuts = Array.from({ length: 100 }, (_, at) => at * 65_536).filter((at) => at < sql.length);
    const result = await writeDump(piecesOf(Buffer.from(sql), cuts), sink, { level: 1, chunkBytes: 1_000_000 });
    const object = Buffer.concat(parts);
    expect(largest).toBeLessThan(512 * 1024);
    expect(result.chunks.map(({ rows }) => rows?.[0]?.rows)).toEqual([undefined, 2, 1]);
    expect(result.tables).toEqual([{ schema: 'public', name: 'a', rows: 3 }]);
    execFileSync('gzip', ['-t'], { input: object });
    const out = execFileSync('gunzip', ['-c'], { input: object, maxBuffer: 10 ** 8 }).toString();
    expect(out.replace('\\.\n\nCOPY public.a (a) FROM stdin;\n', '')).toBe(sql);
  });

  test('keeps a transaction whole, and apart from rows before it, which are then read without it', async () => {
    const objects = (oid: number) =>
      `${tocComment('BLOBS', 'BLOBS')}BEGIN;\n\nSELECT pg_catalog.lo_open('${oid}', 131072);\nSELECT pg_catalog.lowrite(0, '\\x${'00'.repeat(3000)}');\nSELECT pg_catalog.lo_close(0);\n\nCOMMIT;\n\n`;
    const sql = dumpText(`${copyText('a', ['1', '2'])}${objects(1)}${objects(2)}${copyText('b', ['3'])}`);
    const { object, result } = await written(sql, { chunkBytes: 100_000 });
    const texts = result.chunks.map(({ offset, length }) =>
      gunzipSync(object.subarray(offset, offset + length)).toString(),
    );
    expect(texts.join('')).toBe(sql);
    const [rows, transactions] = texts.slice(-2);
    expect(rows).toContain('COPY public.a');
    expect(rows).not.toContain('lo_open');
    expect(transactions?.match(/BEGIN;[^]*?COMMIT;/g)).toHaveLength(2);
    expect(transactions).toMatch(/^\n*--\n-- Name: BLOBS/);
    expect(transactions).toContain('COPY public.b');
  });

  test('writes plain headers: no name, no time', async () => {
    const { object, result } = await written(dumpText('SELECT 1;\n'));
    expect(object.subarray(0, 8).toString('hex')).toBe('1f8b080000000000');
    expect(result.chunks).toHaveLength(1);
  });

  test('refuses every dump that is cut, and psql commands', async () => {
    const sql = dumpText(`${copyText('a', ['1', '2'])}SELECT 1;\n`);
    const whole = sql.indexOf('dump complete') + 'dump complete'.length;
    for (let end = 0; end < whole; end++) {
      await expect(written(sql.slice(0, end))).rejects.toMatchObject({ code: 'DumpTruncated' });
    }
    await expect(written(`${sql}SELECT 2;`)).rejects.toMatchObject({ code: 'DumpTruncated' });
    await expect(written(`${sql}SELECT 2;\n`)).rejects.toMatchObject({ code: 'DumpTruncated' });
    await expect(written(dumpText('SELECT 1;\n\\connect x\n'))).rejects.toMatchObject({
      code: 'MetaCommandRefused',
      message: expect.stringContaining('"\\\\connect x" in line 8, at byte 84 of SQL'),
    });
  });

  test('passes on what source and sink throw, and calls the sink no more', async () => {
    const gone = new Error('gone');
    const sql = Buffer.from(dumpText(copyText('a', Array.from({ length: 5000 }, String))));
    let calls = 0;
    const failing = async (): Promise<void> => {
      calls++;
      if (calls === 3) throw gone;
    };
    const options = { level: 1, blockBytes: 1024 };
    await expect(writeDump(piecesOf(sql), failing, options)).rejects.toBe(gone);
    expect(calls).toBe(3);
    async function* breaking(): AsyncGenerator<Uint8Array> {
      yield sql.subarray(0, 3000);
      throw gone;
    }
    await expect(writeDump(breaking(), async () => {}, options)).rejects.toBe(gone);
  });

  test('stops at once when aborted while the source is silent, and tells the source', async () => {
    const controller = new AbortController();
    const reason = new Error('stop');
    const returned = Promise.withResolvers<void>();
    const silent: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({
        next: () => {
          queueMicrotask(() => controller.abort(reason));
          return new Promise(() => {});
        },
        return: async () => {
          returned.resolve();
          return { done: true, value: undefined };
        },
      }),
    };
    await expect(writeDump(silent, async () => {}, { level: 1, signal: controller.signal })).rejects.toBe(reason);
    await returned.promise;
  });

  test('takes no more from the source than fits while the sink is busy', async () => {
    const piece = Buffer.alloc(1000, 'x');
    let taken = 0;
    async function* source(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('SELECT 1;\nCOPY public.a (a) FROM stdin;\n');
      for (let at = 0; at < 1000; at++) {
        taken += piece.length;
        yield piece;
      }
    }
    const controller = new AbortController();
    const open = Promise.withResolvers<void>();
    const full = Promise.withResolvers<void>();
    const sink = async (): Promise<void> => {
      full.resolve();
      await open.promise;
    };
    const options = { level: 0, blockBytes: 4096, membersInFlight: 3, signal: controller.signal };
    const writing = writeDump(source(), sink, options);
    await full.promise;
    // Everything that can go on without the sink has done so once these have had their turns.
    for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(taken).toBeLessThanOrEqual(4096 * 3 + 1000);
    open.resolve();
    await expect(writing).rejects.toMatchObject({ code: 'DumpTruncated' });
  });
});
