import fc from 'fast-check';
import { expect, test } from 'vitest';
import { driftOf, type DriftInput } from './drift.ts';
import { backupNames, uploadKey } from './object-names.ts';

const now = Date.parse('2026-11-30T12:00:00Z');
const hourAgo = now - 3_600_000;
const names = backupNames('app', new Date('2026-11-30T03:00:00Z'));
const object = (key: string, more: { sizeBytes?: number; modifiedAt?: number } = {}) => ({
  key,
  sizeBytes: 1000,
  modifiedAt: hourAgo,
  ...more,
});
const whole = [
  object(names.dump),
  object(names.privileges, { sizeBytes: 3 }),
  object(names.manifest, { sizeBytes: 9 }),
];
const copy = { key: names.dump, sizeBytes: 1000, modifiedAt: hourAgo };
const drift = (more: Partial<DriftInput>) =>
  driftOf({ now, objects: whole, expected: [copy], known: new Set(), ...more }).map(({ kind, key }) => [kind, key]);

test('what is as it should be is no drift', () => {
  const own = ['LATEST.sql.gz', 'LATEST.manifest.json', 'RECOVER.txt', 'strideiq-owner.json'].map((key) => object(key));
  const upload = object(uploadKey('0197f2a0-0000-7000-8000-0000000000aa'));
  expect(drift({ objects: [...whole, ...own, upload] })).toEqual([]);
  expect(drift({ expected: [{ ...copy, modifiedAt: null, sizeBytes: null }] })).toEqual([]);
});

test('a copy that is gone, of another size, without its manifest, or written again', () => {
  expect(drift({ objects: [] })).toEqual([['missing', names.dump]]);
  const [, ...rest] = whole;
  expect(drift({ objects: rest })).toEqual([['missing', names.dump]]);
  expect(drift({ objects: [object(names.dump, { sizeBytes: 999 }), ...rest] })).toEqual([['resized', names.dump]]);
  expect(drift({ objects: whole.slice(0, 2) })).toEqual([['incomplete', names.dump]]);
  expect(drift({ objects: [object(names.dump, { modifiedAt: now }), ...rest] })).toEqual([['changed', names.dump]]);
});

test('what nobody knows: a backup, a dump without a manifest, a manifest without a dump, something else', () => {
  const unknown = { expected: [] };
  expect(drift(unknown)).toEqual([['unknown', names.dump]]);
  expect(drift({ ...unknown, objects: whole.slice(0, 1) })).toEqual([['unmanaged', names.dump]]);
  expect(drift({ ...unknown, objects: whole.slice(1) })).toEqual([['incomplete', names.dump]]);
  expect(drift({ objects: [...whole, object('notes.txt')] })).toEqual([['foreign', 'notes.txt']]);
});

test('what may be on its way is not looked at: young, or known to be in or out', () => {
  const young = whole.map((each) => ({ ...each, modifiedAt: now - 60_000 }));
  expect(drift({ expected: [], objects: young })).toEqual([]);
  expect(drift({ expected: [], known: new Set([names.dump]) })).toEqual([]);
});

test('each backup is told once, in whatever order the objects are', () => {
  const keys = fc.subarray([...whole, object('a'), object('b')], { minLength: 0 });
  fc.assert(
    fc.property(keys, fc.integer(), (objects, seed) => {
      const shuffled = objects.toSorted((one, other) => (one.key + seed < other.key + seed ? 1 : -1) * (seed % 2 || 1));
      const found = drift({ expected: [], objects: shuffled });
      expect(found).toEqual(drift({ expected: [], objects }));
      expect(new Set(found.map(([, key]) => key)).size).toBe(found.length);
    }),
  );
});
