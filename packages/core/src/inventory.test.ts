import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareInventories, inventorySchema, type Inventory, type InventoryObject } from './inventory.ts';

const object: fc.Arbitrary<InventoryObject> = fc.record(
  {
    kind: fc.constantFrom('table', 'index', 'function'),
    identity: fc.string({ maxLength: 3 }),
    parts: fc.array(fc.string({ maxLength: 2 }), { maxLength: 3 }),
    information: fc.string({ maxLength: 3 }),
  },
  { requiredKeys: ['kind', 'identity'] },
);
const inventory: fc.Arbitrary<Inventory> = fc.uniqueArray(object, {
  selector: ({ kind, identity }) => JSON.stringify([kind, identity]),
  maxLength: 8,
});

const athletes = { kind: 'table', identity: 'public.athletes', parts: ['id bigint', 'name text'] };

describe('compareInventories', () => {
  it('finds nothing between an inventory and itself, in any order and with other information', () => {
    fc.assert(
      fc.property(inventory, fc.string(), (objects, information) => {
        const same = objects.map((each) => ({ ...each, information })).toReversed();
        expect(compareInventories(objects, same)).toEqual([]);
        expect(compareInventories(objects, inventorySchema.parse(JSON.parse(JSON.stringify(objects))))).toEqual([]);
      }),
    );
  });

  it('finds every object that is only on one side', () => {
    fc.assert(
      fc.property(inventory, inventory, (expected, found) => {
        const keys = (objects: Inventory): Set<string> =>
          new Set(objects.map((each) => JSON.stringify([each.kind, each.identity])));
        const [left, right] = [keys(expected), keys(found)];
        const differences = compareInventories(expected, found);
        const count = (what: string): number => differences.filter((each) => each.what === what).length;
        expect(count('missing')).toBe(left.difference(right).size);
        expect(count('unexpected')).toBe(right.difference(left).size);
        expect(count('different')).toBeLessThanOrEqual(left.intersection(right).size);
      }),
    );
  });

  it('mirrors itself when the sides are changed', () => {
    const mirror = { missing: 'unexpected', unexpected: 'missing', different: 'different' } as const;
    fc.assert(
      fc.property(inventory, inventory, (expected, found) => {
        const there = compareInventories(expected, found).map(({ what, identity, kind }) =>
          [what, kind, identity].join(),
        );
        const back = compareInventories(found, expected).map(({ what, identity, kind }) =>
          [mirror[what], kind, identity].join(),
        );
        expect(there.toSorted()).toEqual(back.toSorted());
      }),
    );
  });

  it.each([
    ['another type', ['id integer', 'name text'], 'id bigint', 'id integer'],
    ['another order', ['name text', 'id bigint'], 'id bigint', 'name text'],
    ['a part less', ['id bigint'], 'name text', '(nothing)'],
    ['a part more', ['id bigint', 'name text', 'born date'], '(nothing)', 'born date'],
    ['no parts', undefined, 'id bigint', '(nothing)'],
  ])('shows the first part that differs: %s', (_, parts, expected, found) => {
    const restored = { kind: athletes.kind, identity: athletes.identity, ...(parts ? { parts } : {}) };
    expect(compareInventories([athletes], [restored])).toEqual([
      { what: 'different', kind: 'table', identity: 'public.athletes', expected, found },
    ]);
  });

  it('tells apart what is only called alike', () => {
    expect(compareInventories([athletes], [{ ...athletes, kind: 'view' }]).map(({ what }) => what)).toEqual([
      'missing',
      'unexpected',
    ]);
  });

  it('sees an object that is there twice', () => {
    expect(compareInventories([athletes, athletes], [athletes]).map(({ what }) => what)).toEqual(['missing']);
    expect(compareInventories([athletes], [athletes, athletes]).map(({ what }) => what)).toEqual(['unexpected']);
  });
});
