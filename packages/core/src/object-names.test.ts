import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backupNames, fixedNames, parseBackupName, safeName } from './object-names.ts';

const letters = Array.from('abcXYZ019._-');
const name = fc
  .string({ unit: fc.constantFrom(...letters), minLength: 1, maxLength: 100 })
  .filter((text) => safeName.test(text));
const moment = fc
  .date({ min: new Date('0000-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true })
  .map((date) => new Date(Math.floor(date.getTime() / 1000) * 1000));

describe('backupNames', () => {
  it('is as contract.md shows it', () => {
    expect(backupNames('running_app', new Date('2026-01-11T03:00:00.999Z'))).toEqual({
      stem: 'running_app_20260111_030000',
      dump: 'running_app_20260111_030000.sql.gz',
      manifest: 'running_app_20260111_030000.manifest.json',
      privileges: 'running_app_20260111_030000.privileges.sql.gz',
      globals: 'running_app_20260111_030000.globals.sql.gz',
    });
  });

  it('is in UTC whatever the moment was written in', () => {
    expect(backupNames('a', new Date('2026-01-01T01:30:00+02:00')).stem).toBe('a_20251231_233000');
  });

  it.each(['', '.', '-a', '_a', 'a b', 'a/b', '../a', 'ä', 'a\n', 'a'.repeat(101)])(
    'refuses the name %j',
    (database) => {
      expect(() => backupNames(database, new Date(0))).toThrow(expect.objectContaining({ code: 'ObjectNameInvalid' }));
    },
  );

  it.each([new Date('+010000-01-01T00:00:00Z'), new Date('-000001-01-01T00:00:00Z'), new Date(Number.NaN)])(
    'refuses a moment that no name can hold: %s',
    (at) => {
      expect(() => backupNames('a', at)).toThrow(expect.objectContaining({ code: 'ObjectNameInvalid' }));
    },
  );

  it('sorts by the moment for one database', () => {
    fc.assert(
      fc.property(name, moment, moment, (database, a, b) => {
        expect(backupNames(database, a).stem < backupNames(database, b).stem).toBe(a.getTime() < b.getTime());
      }),
    );
  });
});

describe('parseBackupName', () => {
  it('reads back whatever was named, whichever of them it is', () => {
    fc.assert(
      fc.property(name, moment, fc.constantFrom('dump', 'manifest', 'privileges', 'globals'), (database, at, kind) => {
        const names = backupNames(database, at);
        expect(parseBackupName(names[kind])).toEqual({ kind, database, at, names });
      }),
    );
  });

  it.each([
    ['a_20240229_000000', '2024-02-29T00:00:00Z'],
    ['a_20000229_235959', '2000-02-29T23:59:59Z'],
    ['a_19991231_235959', '1999-12-31T23:59:59Z'],
    ['a_99991231_235959', '9999-12-31T23:59:59Z'],
    ['running_app_20260111_030000_20260112_030000', '2026-01-12T03:00:00Z'],
  ])('knows the moment of %s', (stem, at) => {
    expect(parseBackupName(`${stem}.sql.gz`)?.at).toEqual(new Date(at));
  });

  it('takes the last date as the moment where the database itself is called after one', () => {
    expect(parseBackupName('a_20260111_030000_20260112_030000.sql.gz')?.database).toBe('a_20260111_030000');
  });

  it.each([
    'a_20250229_000000.sql.gz',
    'a_19000229_000000.sql.gz',
    'a_20260431_000000.sql.gz',
    'a_20261301_000000.sql.gz',
    'a_20260100_000000.sql.gz',
    'a_20260111_240000.sql.gz',
    'a_20260111_236000.sql.gz',
    'a_20260111_235960.sql.gz',
    'a_20260111.sql.gz',
    '_20260111_030000.sql.gz',
    'a_20260111_030000.sql',
    'a_20260111_030000.sql.gz.tmp',
    'a_20260111_030000.sql.gz\n',
    'A_20260111_030000.SQL.GZ',
    'sub/a_20260111_030000.sql.gz',
    '../a_20260111_030000.sql.gz',
    'a_２０２６0111_030000.sql.gz',
    ...Object.values(fixedNames),
  ])('is not fooled by %j', (key) => expect(parseBackupName(key)).toBeUndefined());

  it('never fails, and names nothing that does not print back to itself', () => {
    const odd = fc.stringMatching(
      /^[a-z_./]{0,5}_?\d{0,8}_?\d{0,6}\.(sql\.gz|manifest\.json|privileges\.sql\.gz|globals\.sql\.gz)$/,
    );
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), odd), (key) => {
        const parsed = parseBackupName(key);
        expect(parsed === undefined || parsed.names[parsed.kind] === key).toBe(true);
      }),
    );
  });
});
