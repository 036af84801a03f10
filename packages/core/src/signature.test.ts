import { createHash, createPublicKey, verify } from 'node:crypto';
import canonicalize from 'canonicalize';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isSignedBy, keyIdOf, newSigningKey, publicPemOf, signDocument } from './signature.ts';

const key = newSigningKey();
const other = newSigningKey();

type Json = Record<string, unknown>;

const document = fc.dictionary(
  fc.string({ maxLength: 8 }).filter((name) => !['signature', '__proto__', 'toJSON'].includes(name)),
  fc.jsonValue({ maxDepth: 3 }),
  { minKeys: 1, maxKeys: 6 },
) as fc.Arbitrary<Json>;

/** As it comes back from a store. */
const stored = (value: unknown): Json => JSON.parse(JSON.stringify(value)) as Json;

/** Paths of all leaves, empty mappings and lists among them. */
function leaves(value: unknown, path: string[] = []): string[][] {
  if (value === null || typeof value !== 'object') return [path];
  const inner = Object.entries(value).flatMap(([step, item]) => leaves(item, [...path, step]));
  return inner.length === 0 ? [path] : inner;
}

function changed(value: unknown, [step, ...rest]: string[]): unknown {
  if (step === undefined) return value === 'changed' ? 'changed again' : 'changed';
  const copy = (Array.isArray(value) ? [...(value as unknown[])] : { ...(value as Json) }) as Json;
  copy[step] = changed(copy[step], rest);
  return copy;
}

function reordered(value: unknown): unknown {
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map(reordered);
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([name, item]) => [name, reordered(item)]),
  );
}

describe('a signed document', () => {
  it('holds after a round trip through JSON, in any order of its keys', () => {
    fc.assert(
      fc.property(document, (content) => {
        const signed = stored(signDocument(content, key));
        expect(isSignedBy(signed, key.publicPem)).toBe(true);
        expect(isSignedBy(reordered(signed), key.publicPem)).toBe(true);
        expect(isSignedBy(JSON.parse(JSON.stringify(signed, null, 2)), key.publicPem)).toBe(true);
      }),
    );
  });

  it('holds no longer once any leaf is changed', () => {
    fc.assert(
      fc.property(document, (content) => {
        const signed = stored(signDocument(content, key));
        const { signature, ...rest } = signed;
        for (const path of leaves(rest)) {
          expect(isSignedBy({ ...(changed(rest, path) as Json), signature }, key.publicPem)).toBe(false);
        }
      }),
      { numRuns: 40 },
    );
  });

  it('holds no longer once a key is added or taken away, or a list reordered', () => {
    const signed = stored(
      signDocument(
        {
          tables: [
            { name: 'a', rows: 1 },
            { name: 'b', rows: 2 },
          ],
          object: {},
        },
        key,
      ),
    );
    expect(isSignedBy(signed, key.publicPem)).toBe(true);
    expect(isSignedBy({ ...signed, more: null }, key.publicPem)).toBe(false);
    const { object: _, ...less } = signed;
    expect(isSignedBy(less, key.publicPem)).toBe(false);
    expect(isSignedBy({ ...signed, tables: (signed['tables'] as unknown[]).toReversed() }, key.publicPem)).toBe(false);
  });

  it('is signed without keys that hold undefined, as it will be read', () => {
    const signed = signDocument({ a: 1, b: undefined, c: { d: undefined } }, key);
    expect(isSignedBy(signed, key.publicPem)).toBe(true);
    expect(isSignedBy(stored(signed), key.publicPem)).toBe(true);
  });

  // With nothing of ours, as docs/decisions/0002 describes it: a signature outlives the program that made it.
  it('is checked by anyone who has the key', () => {
    fc.assert(
      fc.property(document, (content) => {
        const { signature, ...rest } = stored(signDocument(content, key)) as { signature: { value: string } };
        const digest = createHash('sha256')
          .update(canonicalize(rest) ?? '')
          .digest();
        const bytes = Buffer.concat([Buffer.from('strideiq-manifest-v1\n'), digest]);
        const value = Buffer.from(signature.value, 'base64');
        expect(verify(null, bytes, createPublicKey(key.publicPem), value)).toBe(true);
      }),
    );
  });

  it('is not one that holds half a character, which canonical JSON cannot', () => {
    const signed = signDocument({ a: 'x', tables: [{ name: 'y' }] }, key);
    const halved: unknown[] = [
      { ...signed, a: '\ud800' },
      { ...signed, '\udc00': 1 },
      { ...signed, tables: [{ name: '\ud83d' }] },
    ];
    for (const json of halved) expect(isSignedBy(JSON.parse(JSON.stringify(json)), key.publicPem)).toBe(false);
    expect(() => signDocument({ a: '\ud800' }, key)).toThrow('surrogate');
  });

  it('is signed anew, not over its old signature', () => {
    const twice = signDocument(signDocument({ a: 1 }, other), key);
    expect(twice.signature).toEqual(signDocument({ a: 1 }, key).signature);
    expect(isSignedBy(twice, other.publicPem)).toBe(false);
  });

  it('is nobody else’s, whatever keyId it claims', () => {
    const signed = signDocument({ a: 1 }, key);
    expect(isSignedBy(signed, other.publicPem)).toBe(false);
    const claimed = { ...signed, signature: { ...signed.signature, keyId: keyIdOf(other.publicPem) } };
    expect(isSignedBy(claimed, other.publicPem)).toBe(false);
  });

  it.each([
    ['nothing', undefined],
    ['text', 'a'],
    ['no signature', { a: 1 }],
    ['an empty signature', { a: 1, signature: {} }],
    ['another algorithm', { a: 1, signature: { algorithm: 'none', keyId: '', value: '' } }],
    ['a value that is no base64', { a: 1, signature: { algorithm: 'Ed25519', keyId: '', value: '***' } }],
    ['a value of the wrong length', { a: 1, signature: { algorithm: 'Ed25519', keyId: '', value: 'AAAA' } }],
    ['an empty value', { a: 1, signature: { algorithm: 'Ed25519', keyId: '', value: '' } }],
  ])('is not %s', (_, json) => expect(isSignedBy(json, key.publicPem)).toBe(false));
});

describe('a signing key', () => {
  it('tells its public half', () => {
    expect(publicPemOf(key.privatePem)).toBe(key.publicPem);
  });

  it('has an id of its own that does not depend on how the PEM is wrapped', () => {
    expect(keyIdOf(key.publicPem)).toMatch(/^[0-9a-f]{64}$/);
    expect(keyIdOf(`${key.publicPem}\n`)).toBe(keyIdOf(key.publicPem));
    expect(keyIdOf(other.publicPem)).not.toBe(keyIdOf(key.publicPem));
  });
});
