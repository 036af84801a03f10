import { propertyRuns } from '@strideiq/testkit';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readDump } from './read-dump.ts';
import { generatedDump, modelOf } from './testing/generated-dump.ts';
import { evenPieces, piecesOf } from './testing/pieces.ts';

describe('readDump', () => {
  test('finds every statement and row of a generated dump, wherever its pieces end', async () => {
    await fc.assert(
      fc.asyncProperty(generatedDump, fc.array(fc.nat()), async ({ text, pieces }, cuts) => {
        const bytes = Buffer.from(text);
        const ends = cuts.map((cut) => cut % bytes.length);
        expect(await modelOf(readDump(piecesOf(bytes, ends)))).toEqual(pieces);
      }),
      { numRuns: propertyRuns(400) },
    );
  });

  test('and byte by byte', async () => {
    await fc.assert(
      fc.asyncProperty(generatedDump, async ({ text, pieces }) => {
        expect(await modelOf(readDump(evenPieces(Buffer.from(text), 1)))).toEqual(pieces);
      }),
      { numRuns: propertyRuns(60) },
    );
  });
});
