import { describe, expect, it } from 'vitest';
import { relationKey } from '@strideiq/dump';
import { loadedApart, planData } from './data-plan.ts';
import type { Relation } from './relations.ts';

const tables = ['large', 'small', 'tiny', 'root', 'zones', 'gone'].map((name) => ({ schema: 's', name, rows: 0 }));
const key = (name: string) => relationKey({ schema: 's', name });
const relation: Relation = {
  schema: 's',
  name: 't',
  kind: 'table',
  family: '1',
  heap: true,
  inherited: false,
  fromExtension: false,
};
const made = {
  relations: new Map<string, Relation>([
    [key('large'), relation],
    [key('small'), relation],
    [key('tiny'), relation],
    [key('root'), { ...relation, kind: 'partitioned table', heap: false }],
    [key('zones'), { ...relation, fromExtension: true }],
  ]),
  enums: new Set<string>(),
};
const chunk = (section: 'pre-data' | 'data' | 'post-data', ...rows: [table: number, rows: number][]) => ({
  section,
  offset: 0,
  length: 10,
  rawLength: 100,
  sha256: '',
  ...(rows.length > 0 ? { rows: rows.map(([table, count]) => ({ table, rows: count })) } : {}),
});
const chunks = [
  chunk('pre-data'),
  chunk('data', [1, 3], [2, 1], [4, 1], [0, 5]),
  chunk('data', [0, 10]),
  chunk('data', [0, 5], [3, 5], [5, 10]),
  chunk('data', [3, 10]),
  chunk('data'),
  chunk('post-data'),
];

describe('the data section is divided', () => {
  const plan = planData({ chunks, tables }, made);

  it('among tables that have chunks of their own, small ones by the chunk that they share, and the rest in its order', () => {
    expect(plan.rows).toEqual([
      { chunks: [1, 2, 3], tables: new Set([key('large')]), freeze: true, rawBytes: 50 + 100 + 25 },
      { chunks: [3, 4], tables: new Set([key('root')]), freeze: false, rawBytes: 25 + 100 },
      { chunks: [1], tables: new Set([key('small'), key('tiny')]), freeze: false, rawBytes: 30 + 10 },
    ]);
    // Of an extension's table, and of one that nobody made, nothing is certain.
    expect(plan.rest).toEqual([1, 3, 5]);
  });

  it('so that each COPY is run once', () => {
    const isApart = loadedApart(plan);
    const apart = (place: number) => tables.filter((table) => isApart(place, table)).map(({ name }) => name);
    expect([1, 2, 3, 4, 5].map(apart)).toEqual([
      ['large', 'small', 'tiny'],
      ['large'],
      ['large', 'root'],
      ['root'],
      [],
    ]);
  });

  it('and of some tables nothing else is read', () => {
    const part = planData({ chunks, tables }, made, new Set([key('tiny'), key('zones')]));
    expect(part.rows).toEqual([{ chunks: [1], tables: new Set([key('tiny')]), freeze: false, rawBytes: 10 }]);
    expect(part.rest).toEqual([1]);
    expect(planData({ chunks, tables }, made, new Set())).toMatchObject({ rows: [], rest: [] });
  });
});
