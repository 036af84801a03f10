import { randomBytes } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openLibdeflate } from './libdeflate.ts';
import { MemberInflater } from './member-inflater.ts';

const library = await openLibdeflate();

test('the library is installed where tests run', () => {
  expect(library).toBeDefined();
});

test('the library takes one member after another, and no damaged one', async () => {
  const handle = library!.allocateDecompressor()!;
  const [first, second] = [gzipSync('first'), gzipSync('second')];
  const output = Buffer.alloc(100);
  const both = Buffer.concat([first, second]);
  expect(await library!.decompress(handle, both, output)).toEqual({ taken: first.length, made: 5 });
  expect(output.toString('latin1', 0, 5)).toBe('first');
  expect(await library!.decompress(handle, both.subarray(first.length), output)).toMatchObject({ made: 6 });
  expect(await library!.decompress(handle, both, Buffer.alloc(4))).toBeUndefined();
  expect(await library!.decompress(handle, flipped(first, first.length - 8), output)).toBeUndefined();
  library!.freeDecompressor(handle);
});

test('where the call itself fails, zlib does it', async () => {
  const inflater = new MemberInflater({ ...library!, decompress: async () => Promise.reject(new Error('no memory')) });
  expect((await inflated(inflater, gzipSync('all the same'), 100)).toString()).toBe('all the same');
  inflater.close();
});

async function inflated(inflater: MemberInflater, file: Uint8Array, mostBytes: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of inflater.inflate(file, mostBytes)) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

const members = fc.array(fc.uint8Array({ maxLength: 2000 }), { minLength: 1, maxLength: 6 });
const megabytes = Buffer.alloc(3_000_000, 'rows and rows\n');

describe.each([
  ['by libdeflate', library],
  ['by zlib alone', undefined],
])('%s', (_, library) => {
  const inflater = new MemberInflater(library);

  test('members in a row come out as they went in, one file after another', async () => {
    await fc.assert(
      fc.asyncProperty(members, async (contents) => {
        const file = Buffer.concat(contents.map((content) => gzipSync(content)));
        const whole = Buffer.concat(contents);
        expect((await inflated(inflater, file, whole.length)).equals(whole)).toBe(true);
      }),
    );
  });

  test('a member larger than the room for one, between small ones', async () => {
    const file = Buffer.concat([gzipSync('before'), gzipSync(megabytes), gzipSync('after')]);
    const whole = Buffer.concat([Buffer.from('before'), megabytes, Buffer.from('after')]);
    expect((await inflated(inflater, file, whole.length)).equals(whole)).toBe(true);
  });

  test('more than was said to be in it is refused', async () => {
    const file = Buffer.concat([gzipSync('twelve bytes'), gzipSync('and eleven.')]);
    await expect(inflated(inflater, file, 22)).rejects.toMatchObject({ code: 'DumpExpandsTooFar' });
    await expect(inflated(inflater, file, 5)).rejects.toMatchObject({ code: 'DumpExpandsTooFar' });
    expect((await inflated(inflater, file, 23)).toString()).toBe('twelve bytesand eleven.');
  });

  test.each([
    ['nothing', () => Buffer.alloc(0), 'DumpTruncated'],
    ['no gzip', () => Buffer.from('COPY and so on'), 'NotGzip'],
    ['a member that is cut', (file: Buffer) => file.subarray(0, -1), 'DumpTruncated'],
    ['a flipped bit of a checksum', (file: Buffer) => flipped(file, file.length - 8), 'DumpCorrupt'],
    ['something behind the last member', (file: Buffer) => Buffer.concat([file, Buffer.alloc(9)]), 'DumpCorrupt'],
  ])('%s is told as what it is', async (_, damage, code) => {
    const file = damage(Buffer.concat([gzipSync('first'), gzipSync(randomBytes(1000))]));
    await expect(inflated(inflater, file, 10_000)).rejects.toMatchObject({ code });
  });

  test('a reader that leaves early leaves it fit for the next', async () => {
    const file = Buffer.concat(Array.from({ length: 20 }, () => gzipSync(megabytes.subarray(0, 500_000))));
    for await (const piece of inflater.inflate(file, 10_000_000)) {
      expect(piece.length).toBeGreaterThan(0);
      break;
    }
    expect((await inflated(inflater, file, 10_000_000)).equals(gunzipSync(file))).toBe(true);
    inflater.close();
  });
});

function flipped(file: Buffer, at: number): Buffer {
  const copy = Buffer.from(file);
  copy.writeUInt8(copy.readUInt8(at) ^ 1, at);
  return copy;
}
