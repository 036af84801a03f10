import canonicalize from 'canonicalize';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalPieces } from './canonical-json.ts';

/** Names and texts of any characters that JSON can hold, lists among the values. */
const text = fc.string({ unit: 'binary', maxLength: 5 });
const entry = fc.oneof(fc.jsonValue({ maxDepth: 3 }), text, fc.constant(undefined));
const document = fc.dictionary(
  text.filter((name) => name !== '__proto__'),
  fc.oneof(entry, fc.array(entry, { maxLength: 5 })),
  { maxKeys: 8 },
) as fc.Arbitrary<Record<string, unknown>>;

const joined = (value: object): string => [...canonicalPieces(value)].join('');

describe('canonicalPieces', () => {
  it('are the bytes of the canonical whole', () => {
    fc.assert(
      fc.property(document, (value) => {
        expect(joined(value)).toBe(canonicalize(value));
      }),
      { numRuns: 1000 },
    );
  });

  it.each([
    [{}, '{}'],
    [{ a: undefined }, '{}'],
    [{ b: [], a: [undefined], c: undefined }, '{"a":[null],"b":[]}'],
    [{ '\u{10000}': 1, '\uffff': 2 }, '{"\u{10000}":1,"\uffff":2}'],
    [{ a: 1e21, b: -0, c: 0.1, d: [1e-7] }, '{"a":1e+21,"b":0,"c":0.1,"d":[1e-7]}'],
    [{ a: new Date(0) }, '{"a":"1970-01-01T00:00:00.000Z"}'],
  ])('of %j', (value, canonical) => expect(joined(value)).toBe(canonical));

  it.each([
    [{ a: '\ud800' }, 'surrogate'],
    [{ '\udc00': 1 }, 'surrogate'],
    [{ a: ['x', { b: '\ud800' }] }, 'surrogate'],
    [{ a: Number.NaN }, 'NaN'],
  ])('are none of %j', (value, why) => expect(() => joined(value)).toThrow(why));

  it('are short, however long a list is', () => {
    const chunks = Array.from({ length: 1000 }, (_, at) => ({ offset: at, sha256: 'ab'.repeat(32) }));
    expect(Math.max(...[...canonicalPieces({ chunks, tables: chunks })].map(({ length }) => length))).toBeLessThan(120);
  });
});
