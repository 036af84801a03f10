import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nearest } from './nearest.ts';

const keys = ['passwordFile', 'passwordEnv', 'port', 'host', 'url', 'compressionLevel'];

describe('nearest', () => {
  it.each([
    ['passwordfile', 'passwordFile'],
    ['password_file', 'passwordFile'],
    ['pasword-env', 'passwordEnv'],
    ['hots', 'host'],
    ['compressLevel', 'compressionLevel'],
  ])('takes %s for %s', (word, expected) => expect(nearest(word, keys)).toBe(expected));

  it.each(['zzz', 'x', '', 'retention'])('takes %j for nothing', (word) => expect(nearest(word, keys)).toBeUndefined());

  it('takes a known word for itself, whatever the case', () => {
    fc.assert(
      fc.property(fc.constantFrom(...keys), (key) => {
        expect(nearest(key.toUpperCase(), keys)).toBe(key);
      }),
    );
  });
});
