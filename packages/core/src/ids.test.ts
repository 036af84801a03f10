import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { validate, version } from 'uuid';
import { describe, expect, it } from 'vitest';
import { databaseIdOf, idFromKey, idSchema, newId, storeIdOf, type StoreLocation } from './ids.ts';

const moment = fc.integer({ min: 0, max: 2 ** 48 - 1 });

const location: fc.Arbitrary<StoreLocation> = fc.oneof(
  fc.record({ type: fc.constant('directory' as const), host: fc.string(), path: fc.string() }),
  fc.record({ type: fc.constant('s3' as const), endpoint: fc.string(), bucket: fc.string(), prefix: fc.string() }),
);

describe('newId', () => {
  it('is a UUIDv7 that holds the moment it was made', () => {
    fc.assert(
      fc.property(moment, (nowMs) => {
        const id = newId(nowMs);
        expect(version(id)).toBe(7);
        expect(Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)).toBe(nowMs);
        expect(idSchema.parse(id)).toBe(id);
      }),
    );
  });

  it('sorts by the moment', () => {
    fc.assert(
      fc.property(moment, moment, (a, b) => {
        fc.pre(a !== b);
        expect(newId(a) < newId(b)).toBe(a < b);
      }),
    );
  });

  it('never gives one id twice, even within a millisecond', () => {
    const ids = Array.from({ length: 10_000 }, () => newId(1_768_100_400_000));
    expect(new Set(ids).size).toBe(ids.length);
  });
});

describe('databaseIdOf', () => {
  // Written down once: an id that changes with a release orphans every backup made before it.
  it('is what it always was', () => {
    expect(databaseIdOf('production', 'running_app')).toBe('1b1e3ef3-604e-54d0-972a-114541d11fa9');
  });

  it('differs wherever environment or name differ', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string(), fc.string(), (a, b, c, d) => {
        expect(databaseIdOf(a, b) === databaseIdOf(c, d)).toBe(a === c && b === d);
        expect(validate(databaseIdOf(a, b))).toBe(true);
      }),
    );
    expect(databaseIdOf('a', 'b","c')).not.toBe(databaseIdOf('a","b', 'c'));
  });
});

describe('idFromKey', () => {
  // Written down once: a command whose id changes with a release would be done a second time.
  it('is what it always was', () => {
    const id = idFromKey('0198c0de-0000-7000-8000-000000000001', 'nightly', 'command');
    expect(id).toBe('ed97eb2a-8e74-5409-a184-65b0e88204ae');
  });

  it('differs wherever caller, key or purpose differ', () => {
    const request = fc.tuple(fc.string(), fc.string(), fc.string());
    fc.assert(
      fc.property(request, request, (a, b) => {
        expect(idFromKey(...a) === idFromKey(...b)).toBe(isDeepStrictEqual(a, b));
        expect(idSchema.parse(idFromKey(...a))).toBe(idFromKey(...a));
      }),
    );
    expect(idFromKey('a', 'b","c', 'd')).not.toBe(idFromKey('a","b', 'c', 'd'));
    expect(idFromKey('a', 'b', 'c')).not.toBe(databaseIdOf('a', 'b'));
  });
});

describe('storeIdOf', () => {
  it('is what it always was', () => {
    expect(storeIdOf({ type: 'directory', host: 'db1', path: '/backups' })).toBe(
      'e75424ca-e4d0-5ab4-8c10-a0241b52af4b',
    );
    const s3 = { type: 's3', endpoint: 'https://s3.eu-west-1.amazonaws.com', bucket: 'b', prefix: 'backups/' } as const;
    expect(storeIdOf(s3)).toBe('11b859d4-26ea-5e28-846d-29ad28eebe53');
  });

  it('does not depend on the order in which the location was written', () => {
    const one = storeIdOf({ type: 's3', endpoint: 'e', bucket: 'b', prefix: 'p' });
    expect(storeIdOf({ prefix: 'p', bucket: 'b', endpoint: 'e', type: 's3' })).toBe(one);
  });

  it('differs wherever the place differs', () => {
    fc.assert(
      fc.property(location, location, (a, b) => {
        const same = isDeepStrictEqual(a, b);
        expect(storeIdOf(a) === storeIdOf(b)).toBe(same);
        expect(storeIdOf({ ...a })).toBe(storeIdOf(a));
      }),
    );
  });
});

describe('idSchema', () => {
  it.each([
    '',
    'running_app',
    '019bad',
    '{019babcd-0000-7000-8000-000000000000}',
    '019babcd00007000800000000000000000',
  ])('refuses %j', (text) => expect(idSchema.safeParse(text).success).toBe(false));

  it('takes one spelling alone, so that ids can be compared as text', () => {
    const id = newId(1_768_100_400_000);
    expect(idSchema.safeParse(id.toUpperCase()).success).toBe(false);
  });
});
