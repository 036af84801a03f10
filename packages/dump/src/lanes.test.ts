import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { propertyRuns } from '@strideiq/testkit';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { piecesOf } from './testing/pieces.ts';
import { copyText, dumpText, tocComment } from './testing/written-dump.ts';
import { verifyDump } from './verify-dump.ts';
import { writeDump, type DumpResult, type Lane, type WriteDumpOptions } from './write-dump.ts';

const preData = `${tocComment('TABLE', 'a')}CREATE TABLE a (a text);\n\n\n`;
const postData = `${tocComment('INDEX', 'i')}CREATE INDEX i ON a (a);\n\n\n`;
const smallTable = copyText('small', ['1', '2']);

/** A lane that brings these rows of these tables, each row in pieces of one size. */
function laneOf(tables: Record<string, readonly string[]>, pieceBytes = 1000): Lane {
  return async (rows) => {
    for (const [table, lines] of Object.entries(tables)) {
      await rows.begin(Buffer.from(`COPY public.${table} (a) FROM stdin;\n`), 'UTF8');
      for (const line of lines) {
        // As they lie in a socket's buffer: other bytes stand before and behind.
        const bytes = Buffer.from(`xx${line}\nyy`);
        const end = bytes.length - 2;
        for (let at = 2; at < end; at += pieceBytes) {
          await rows.write(bytes, at, Math.min(end, at + pieceBytes), at + pieceBytes >= end);
        }
      }
      await rows.end();
    }
  };
}

async function written(
  sql: string,
  lanes: readonly Lane[],
  options: Partial<WriteDumpOptions> = {},
): Promise<{ object: Buffer; result: DumpResult }> {
  const parts: Buffer[] = [];
  const sink = async (bytes: Buffer): Promise<void> => {
    // As late as may be: until then nothing is written over them.
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
    parts.push(Buffer.from(bytes));
  };
  const result = await writeDump(piecesOf(Buffer.from(sql)), sink, { level: 1, ...options, lanes });
  return { object: Buffer.concat(parts), result };
}

/** Rows by table, sorted, as a chunk's SQL holds them. */
function rowsIn(sql: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const [, table = '', rows = ''] of sql.matchAll(/^COPY public\.(\w+) \(a\) FROM stdin;\n([^]*?)^\\\.\n/gm)) {
    found.set(table, [...(found.get(table) ?? []), ...rows.split('\n').slice(0, -1)].sort());
  }
  return found;
}

const row = fc.string({ unit: fc.constantFrom('a', 'b', '\\n', '0', 'é'), maxLength: 40 });
const rowsOfLane = fc.dictionary(fc.constantFrom('x', 'y', 'z'), fc.array(row, { maxLength: 60 }), { maxKeys: 3 });
const sizes = fc.record({
  blockBytes: fc.integer({ min: 1, max: 500 }),
  chunkBytes: fc.integer({ min: 1, max: 900 }),
  membersInFlight: fc.integer({ min: 1, max: 4 }),
});

describe('writeDump with lanes', () => {
  test('holds each row once, in chunks of one table, between pre-data and post-data', async () => {
    const dumps = fc.constantFrom(
      '',
      preData,
      preData + smallTable,
      preData + smallTable + postData,
      preData + postData,
    );
    const run = async (middle: string, perLane: Record<string, string[]>[], piece: number, how: object) => {
      const { object, result } = await written(
        dumpText(middle),
        perLane.map((tables) => laneOf(tables, piece)),
        how,
      );
      const sections = result.chunks.map(({ section }) => section);
      expect(sections).toEqual(sections.toSorted((a, b) => order(a) - order(b)));
      const expected = new Map<string, string[]>(middle.includes(smallTable) ? [['small', ['1', '2']]] : []);
      for (const [table, rows] of perLane.flatMap((tables) => Object.entries(tables))) {
        expected.set(table, [...(expected.get(table) ?? []), ...rows].sort());
      }
      const found = new Map<string, string[]>();
      const alone: boolean[] = [];
      for (const { offset, length, section } of result.chunks) {
        const sql = gunzipSync(object.subarray(offset, offset + length)).toString();
        for (const [table, rows] of rowsIn(sql)) {
          found.set(table, [...(found.get(table) ?? []), ...rows].sort());
          expect(section).toBe('data');
          alone.push(table === 'small' || /^COPY public\.\w+ \(a\) FROM stdin;\n(?:[^]*\n)?\\\.\n\n$/.test(sql));
        }
      }
      expect(found).toEqual(expected);
      expect(alone).not.toContain(false);
      // At the beginning of a line, each.
      expect(gunzipSync(object).toString()).not.toMatch(/[^\n]COPY/);
      expect(gunzipSync(object).toString()).toMatch(/-- PostgreSQL database dump complete\n--\n\n$/);
      expect(result.sha256).toBe(createHash('sha256').update(object).digest('hex'));
      expect(await verifyDump(piecesOf(object), result)).toMatchObject({ problems: [], rawBytes: result.rawBytes });
      expect((await verifyDump(piecesOf(object))).problems).toEqual([]);
    };
    await fc.assert(
      fc.asyncProperty(
        dumps,
        fc.array(rowsOfLane, { minLength: 1, maxLength: 3 }),
        fc.integer({ min: 1, max: 9 }),
        sizes,
        run,
      ),
      { numRuns: propertyRuns(100) },
    );
  });

  test('takes the stream for a row that is larger than what a lane may keep, and goes on with the others', async () => {
    const huge = Array.from({ length: 40_000 }, (_, at) => createHash('sha512').update(`${at}`).digest('base64')).join(
      '',
    );
    const huge8 = huge.repeat(4);
    const others = Array.from({ length: 50_000 }, (_, at) => `row ${at}`);
    const { object, result } = await written(
      dumpText(preData + smallTable + postData),
      [laneOf({ wide: ['a', huge8, 'b'] }, 65_536), laneOf({ narrow: others })],
      { chunkBytes: 100_000, level: 0 },
    );
    const rows = rowsIn(gunzipSync(object).toString());
    expect(rows.get('wide')).toEqual(['a', huge8, 'b'].sort());
    expect(rows.get('narrow')).toEqual([...others].sort());
    expect((await verifyDump(piecesOf(object), result)).problems).toEqual([]);
  });

  test('holds post-data back until the lanes are done, and lanes until pre-data is in', async () => {
    const asked: string[] = [];
    const go = Promise.withResolvers<void>();
    async function* source(): AsyncGenerator<Uint8Array> {
      const [before = '', after = ''] = dumpText(preData + smallTable + postData).split('CREATE INDEX');
      yield Buffer.from(before);
      asked.push('post-data');
      yield Buffer.from(`CREATE INDEX${after}`);
      asked.push('the end');
    }
    const lane: Lane = async (rows, signal) => {
      await laneOf({ big: ['1'] })(rows, signal);
      await go.promise;
    };
    const parts: Buffer[] = [];
    const sink = async (bytes: Buffer): Promise<void> => void parts.push(Buffer.from(bytes));
    const writing = writeDump(source(), sink, { level: 1, lanes: [lane] });
    for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(asked).toEqual(['post-data']);
    go.resolve();
    const { chunks, tables } = await writing;
    expect(chunks.map(({ section }) => section)).toEqual(['pre-data', 'data', 'data', 'post-data']);
    expect(Object.fromEntries(tables.map(({ name, rows }) => [name, rows]))).toEqual({ big: 1, small: 2 });
  });

  test('ends with the first failure, whoever has it, tells the others, and calls the sink no more', async () => {
    const gone = new Error('gone');
    const until = async (signal: AbortSignal): Promise<never> => {
      signal.throwIfAborted();
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
    };
    const told: unknown[] = [];
    const waits: Lane = async (rows, signal) => {
      await laneOf({ waits: ['1'] })(rows, signal);
      await until(signal).catch((error: unknown) => told.push(error));
      signal.throwIfAborted();
    };
    const breaks: Lane = async () => {
      throw gone;
    };
    const sql = dumpText(preData + smallTable + postData);
    let failed = false;
    const sink = async (): Promise<void> => expect(failed).toBe(false);
    const failing = async (): Promise<void> => {
      expect(failed).toBe(false);
      failed = true;
      throw gone;
    };
    await expect(writeDump(piecesOf(Buffer.from(sql)), sink, { level: 1, lanes: [waits, breaks] })).rejects.toBe(gone);
    await expect(writeDump(piecesOf(Buffer.from(sql)), failing, { level: 1, lanes: [waits] })).rejects.toBe(gone);
    async function* breaking(): AsyncGenerator<Uint8Array> {
      yield Buffer.from(sql.slice(0, 200));
      throw gone;
    }
    failed = false;
    await expect(writeDump(breaking(), sink, { level: 1, lanes: [waits] })).rejects.toBe(gone);
    expect(new Set(told)).toEqual(new Set([gone]));
  });

  test('refuses rows that have no end, and a table whose rows pg_dump writes too', async () => {
    const cut: Lane = async (rows) => {
      await rows.begin(Buffer.from('COPY public.a (a) FROM stdin;\n'), 'UTF8');
      await rows.write(Buffer.from('no end'), 0, 6, true);
    };
    const sql = dumpText(preData + smallTable + postData);
    await expect(written(sql, [cut])).rejects.toMatchObject({
      message: expect.stringContaining('has no end') as string,
    });
    await expect(written(sql, [laneOf({ small: ['3'] })])).rejects.toMatchObject({
      code: 'DumpNotUnderstood',
      message: expect.stringContaining('pg_dump writes rows of public.small') as string,
    });
  });
});

function order(section: string): number {
  return ['pre-data', 'data', 'post-data'].indexOf(section);
}
