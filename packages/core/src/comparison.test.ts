import fc from 'fast-check';
import { expect, test } from 'vitest';
import { backupComparisonSchema, compareBackups, shapeOf } from './comparison.ts';
import type { Inventory } from './inventory.ts';

interface Given {
  backupId?: string;
  rows?: Record<string, number>;
  inventory?: Inventory;
  excludeTables?: string[];
}

function shape({ backupId = 'one', rows = {}, inventory = [], excludeTables = [] }: Given) {
  return shapeOf({
    backupId,
    tables: Object.entries(rows).map(([name, count]) => ({ schema: 'public', name, rows: count })),
    inventory,
    dumpOptions: { compressionLevel: 4, jobs: 2, excludeTables, excludeTableData: [] },
  });
}

test('tells tables that have lost rows, the emptiest first, and none that are merely used', () => {
  const before = shape({ rows: { a: 1000, b: 1000, used: 1000, grown: 1000, small: 99, gone: 100 } });
  const after = shape({ backupId: 'two', rows: { a: 899, b: 0, used: 901, grown: 2000, small: 0 } });
  expect(compareBackups(before, after)).toMatchObject({
    against: 'one',
    rowsLost: [
      { table: 'public.b', before: 1000, after: 0 },
      { table: 'public.gone', before: 100, after: 0 },
      { table: 'public.a', before: 1000, after: 899 },
    ],
  });
});

test('tells what became of the schema, by what must be equal after a restore alone', () => {
  const table = (identity: string, ...parts: string[]) => ({ kind: 'table', identity, parts });
  const before = shape({
    inventory: [
      table('public.a', 'id int'),
      table('public.b', 'id int'),
      { kind: 'view', identity: 'v', information: 'x' },
    ],
  });
  const after = shape({
    inventory: [
      table('public.a', 'id int', 'name text'),
      table('public.c'),
      { kind: 'view', identity: 'v', information: 'y' },
    ],
  });
  expect(compareBackups(before, after)?.schema).toEqual({
    added: 1,
    removed: 1,
    changed: 1,
    examples: ['table public.b: removed', 'table public.a: changed', 'table public.c: new'],
  });
});

test('what is there twice counts twice', () => {
  const one = { kind: 'constraint', identity: 'c', parts: ['x'] };
  const twice = compareBackups(shape({ inventory: [one, one] }), shape({ inventory: [one] }));
  expect(twice?.schema).toMatchObject({ removed: 1, added: 0, changed: 0 });
});

test('a dot within a name makes no table another one', () => {
  const tables = [
    { schema: 'a', name: 'b.c', rows: 1000 },
    { schema: 'a.b', name: 'c', rows: 0 },
    { schema: 'a', name: '"b', rows: 500 },
  ];
  const dumpOptions = { compressionLevel: 4, jobs: 2, excludeTables: [], excludeTableData: [] };
  const made = shapeOf({ backupId: 'one', tables, inventory: [], dumpOptions });
  expect(made.tables.map(([name]) => name)).toEqual(['a."b.c"', '"a.b".c', 'a."""b"']);
  expect(compareBackups(made, made)?.rowsLost).toEqual([]);
});

test('backups that leave out other things are not compared', () => {
  expect(compareBackups(shape({}), shape({ excludeTables: ['audit'] }))).toBeUndefined();
});

test('nothing differs from itself, and however much differs a report takes it', () => {
  const rowsArbitrary = fc.dictionary(fc.string({ maxLength: 2000 }), fc.nat(1_000_000), { maxKeys: 60 });
  const inventoryArbitrary = fc.array(
    fc.record({
      kind: fc.constantFrom('table', 'view'),
      identity: fc.string({ maxLength: 2000, unit: 'binary' }),
      parts: fc.array(fc.string()),
    }),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(
      rowsArbitrary,
      rowsArbitrary,
      inventoryArbitrary,
      inventoryArbitrary,
      (rows, others, inventory, other) => {
        const [one, two] = [shape({ rows, inventory }), shape({ rows: others, inventory: other })];
        expect(compareBackups(one, one)).toMatchObject({ rowsLost: [], schema: { added: 0, removed: 0, changed: 0 } });
        const compared = compareBackups(one, two);
        expect(backupComparisonSchema.parse(compared)).toEqual(compared);
      },
    ),
  );
});

test('the shape of a large database is small', () => {
  const inventory = Array.from({ length: 10_000 }, (_, at) => ({
    kind: 'table',
    identity: `public.table_${at}`,
    parts: Array.from({ length: 30 }, (__, column) => `column_${column} text`),
  }));
  const text = JSON.stringify(shape({ inventory }));
  expect(text.length).toBeLessThan(500_000);
});
