import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RowDigest } from './row-digest.ts';

const digestOf = (...pieces: readonly (string | Uint8Array)[]) => {
  const digest = new RowDigest();
  for (const piece of pieces) digest.add(Buffer.from(piece));
  return digest.text;
};

test('the order of lines does not matter, each of them does', () => {
  expect(digestOf('a\nb\n')).toBe(digestOf('b\na\n'));
  expect(digestOf('a\nb\n')).not.toBe(digestOf('a\nc\n'));
  expect(digestOf('a\na\n')).not.toBe(digestOf('a\n'));
  expect(digestOf('ab\n\n')).not.toBe(digestOf('a\nb\n'));
  expect(digestOf('\n')).not.toBe(digestOf());
});

test('neither does where they are cut, nor what becomes of the memory they came in', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\n', '')),
        { maxLength: 20 },
      ),
      fc.array(fc.nat(200), { maxLength: 10 }),
      (lines, cuts) => {
        const all = Buffer.from(lines.map((line) => `${line}\n`).join(''));
        const places = [0, ...cuts.filter((cut) => cut < all.length).toSorted((a, b) => a - b), all.length];
        const digest = new RowDigest();
        for (const [at, from] of places.slice(0, -1).entries()) {
          const piece = Buffer.from(all.subarray(from, places[at + 1]));
          digest.add(piece);
          piece.fill(0x58);
        }
        expect([digest.rows, digest.text]).toEqual([lines.length, digestOf(all)]);
      },
    ),
  );
});
