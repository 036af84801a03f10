import { propertyRuns } from '@strideiq/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { matchesName } from './matches-name.ts';

describe('matchesName', () => {
  it.each([
    ['test_*', 'test_', true],
    ['test_*', 'test_of_mine', true],
    ['test_*', 'my_test_', false],
    ['*_old', 'app_old', true],
    ['*_old', 'app_older', false],
    ['db?', 'db1', true],
    ['db?', 'db', false],
    ['db?', 'dbé', true],
    ['db?', 'db🙂', true],
    ['App', 'app', false],
    ['a.c', 'abc', false],
    ['a*b*c', 'a-b-b-c', true],
    ['*', '', true],
    ['', 'a', false],
    ['[ab]', 'a', false],
    ['[ab]', '[ab]', true],
  ])('%j on %j is %j', (pattern, name, matches) => expect(matchesName(pattern, name)).toBe(matches));

  it('agrees with the regular expression that says the same', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', '.', '🙂'), maxLength: 8 });
    const patterns = fc.string({ unit: fc.constantFrom('a', 'b', '.', '🙂', '*', '?'), maxLength: 8 });
    fc.assert(
      fc.property(patterns, letters, (pattern, name) => {
        const source = pattern
          .replaceAll('.', String.raw`\.`)
          .replaceAll('*', '.*')
          .replaceAll('?', '.');
        expect(matchesName(pattern, name)).toBe(new RegExp(`^${source}$`, 'us').test(name));
      }),
      { numRuns: propertyRuns(2000) },
    );
  });

  it('is quick whatever a pattern asks for', () => {
    // A regular expression would try more ways than there are atoms.
    expect(matchesName('*a'.repeat(30) + 'b', 'a'.repeat(63))).toBe(false);
  });
});
