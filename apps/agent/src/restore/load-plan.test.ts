import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DumpSession, relationKey, type PostDataItem } from '@strideiq/dump';
import { propertyRuns } from '@strideiq/testkit';
import type { RowsWork } from './data-plan.ts';
import { planLoad, type LoadTask } from './load-plan.ts';
import type { Relation } from './relations.ts';

const key = (name: string) => relationKey({ schema: 's', name });
const table = (family: string): Relation => ({
  schema: 's',
  name: 't',
  kind: 'table',
  family,
  heap: true,
  inherited: false,
  fromExtension: false,
});
const relations = new Map<string, Relation>([
  [key('a'), table('a')],
  [key('b'), table('b')],
  [key('root'), { ...table('tree'), kind: 'partitioned table', heap: false }],
  [key('leaf_1'), table('tree')],
  [key('leaf_2'), table('tree')],
  [key('zones'), { ...table('zones'), fromExtension: true }],
  [key('parent'), { ...table('parent'), inherited: true }],
  [key('seen'), { ...table('seen'), kind: 'materialized view' }],
]);
const filled = ['a', 'b', 'root', 'leaf_1', 'leaf_2'];
const named = [...filled, 'zones', 'seen', 'unknown'];

const session = new DumpSession();
session.follow(Buffer.from("SELECT pg_catalog.set_config('search_path', '', false);"));

/** An object of post-data, and what it is about. */
interface Drawn {
  sql: string;
  type: string;
  about: string[];
  kind: 'index' | 'key' | 'foreign key' | 'other';
}

const name = fc.constantFrom(...named);
const drawn: fc.Arbitrary<Drawn> = fc.oneof(
  name.map((on): Drawn => ({
    sql: `CREATE INDEX i ON s.${on} USING btree (x);`,
    type: 'INDEX',
    about: [on],
    kind: 'index',
  })),
  name.map((on): Drawn => ({
    sql: `ALTER TABLE ONLY s.${on} ADD CONSTRAINT p PRIMARY KEY (x);`,
    type: 'CONSTRAINT',
    about: [on],
    kind: 'key',
  })),
  fc.tuple(name, name).map(([on, to]): Drawn => ({
    sql: `ALTER TABLE s.${on} ADD CONSTRAINT f FOREIGN KEY (x) REFERENCES s.${to}(x);`,
    type: 'FK CONSTRAINT',
    about: [on, to],
    kind: 'foreign key',
  })),
  fc
    .constantFrom(
      ['CREATE INDEX i ON s.a USING btree (s.f(x));', 'INDEX'],
      ['ALTER INDEX s.i ATTACH PARTITION s.j;', 'INDEX ATTACH'],
      ['CREATE TRIGGER t AFTER INSERT ON s.a FOR EACH ROW EXECUTE FUNCTION s.f();', 'TRIGGER'],
      ['REFRESH MATERIALIZED VIEW s.seen;', 'MATERIALIZED VIEW DATA'],
    )
    .map(([sql = '', type = '']): Drawn => ({ sql, type, about: [], kind: 'other' })),
);

const itemOf = ({ sql, type }: Drawn): PostDataItem => ({
  toc: { name: 'x', type, schema: 's' },
  statements: [{ sql: Buffer.from(sql), settings: session.settings }],
});

/** Who loads which tables: some together, some twice, some not at all. */
const rows: fc.Arbitrary<RowsWork[]> = fc.array(
  fc.record({
    chunks: fc.constant([1]),
    tables: fc.subarray(filled, { minLength: 1 }).map((names) => new Set(names.map(key))),
    freeze: fc.boolean(),
    rawBytes: fc.nat(1000),
  }),
  { maxLength: 6 },
);

const planOf = (loads: RowsWork[], items: Drawn[]): LoadTask[] =>
  planLoad({
    data: { rows: loads, rest: [], sizes: new Map() },
    restRawBytes: 0,
    items: items.map(itemOf),
    session,
    made: { relations, enums: new Set() },
    analyze: false,
  });

const known = (about: string): boolean => relations.get(key(about))?.fromExtension === false;
const familyOf = (about: string): string => relations.get(key(about))?.family ?? '';

/** Loads whose rows an item reads: those of its tables, and of all that is one table with them. */
function needed(tasks: LoadTask[], { about, kind }: Drawn): LoadTask[] {
  return tasks.filter(({ work }) => {
    if (work.kind !== 'rows') return false;
    const has = (one: string) => work.rows.tables.has(key(one));
    if (kind === 'foreign key') return filled.some((one) => has(one) && about.map(familyOf).includes(familyOf(one)));
    const [on = ''] = about;
    return (has(on) && on !== 'root') || (familyOf(on) === 'tree' && has('root'));
  });
}

/** What a plan lets happen that must not. */
function wrongWith(tasks: LoadTask[], items: Drawn[]): string[] {
  const first = tasks.length - items.length;
  return items.flatMap((item, place) => {
    const task = tasks[first + place];
    if (!task) return [`${item.sql} is not in the plan`];
    const { after = [], locks = [], afterAll, alone } = task;
    if (item.kind === 'other' || !item.about.every(known)) return afterAll && alone ? [] : [`${item.sql} has no place`];
    const missing = needed(tasks, item).filter((one) => !after.includes(one));
    const earlier = tasks.slice(first, first + place);
    const keys = items.slice(0, place).flatMap((other, at) => {
      const mayBeIts =
        other.type !== 'TRIGGER' && other.type !== 'MATERIALIZED VIEW DATA' && other.kind !== 'foreign key';
      const isIts =
        other.kind === 'other' ||
        !other.about.every(known) ||
        other.about.some((one) => item.about.map(familyOf).includes(familyOf(one)));
      return mayBeIts && isIts ? [earlier[at] as LoadTask] : [];
    });
    // One that comes after all has the ones before it behind it.
    const reached = (one: LoadTask): boolean =>
      after.some((other) => other === one || (other.afterAll === true && tasks.indexOf(one) < tasks.indexOf(other)));
    const unlocked = item.about.filter((one) => !locks.some(({ family }) => family === familyOf(one)));
    return [
      ...missing.map(() => `${item.sql} does not wait for its rows`),
      ...(item.kind === 'foreign key' ? keys.filter((one) => !reached(one)).map(() => `${item.sql} has no index`) : []),
      ...unlocked.map((one) => `${item.sql} does not lock ${one}`),
      ...(after.every((one) => tasks.indexOf(one) < first + place) ? [] : [`${item.sql} waits for what comes later`]),
    ];
  });
}

describe('a plan', () => {
  it('has every item in its place, after the rows and indexes that it needs, with all that it locks', () => {
    fc.assert(
      fc.property(rows, fc.array(drawn, { maxLength: 15 }), (loads, items) => {
        const tasks = planOf(loads, items);
        expect(tasks.filter(({ work }) => work.kind === 'rows')).toHaveLength(loads.length);
        expect(tasks.filter(({ work }) => work.kind === 'rest')).toHaveLength(1);
        expect(wrongWith(tasks, items)).toEqual([]);
      }),
      { numRuns: propertyRuns(500) },
    );
  });

  it('lets indexes of one table be made together, keys not, and those of a partitioned table with nothing of it', () => {
    const locksOf = (sql: string) => planOf([], [{ sql, type: 'INDEX', about: [], kind: 'index' }]).at(-1)?.locks;
    expect(locksOf('CREATE INDEX i ON s.a USING gin (x);')).toEqual([
      { family: 'a', relation: key('a'), mode: 'share' },
    ]);
    expect(locksOf('ALTER TABLE ONLY s.leaf_1 ADD CONSTRAINT p PRIMARY KEY (x);')).toEqual([
      { family: 'tree', relation: key('leaf_1'), mode: 'exclusive' },
    ]);
    expect(locksOf('CREATE INDEX i ON ONLY s.root USING btree (x);')).toEqual([{ family: 'tree', mode: 'exclusive' }]);
    expect(locksOf('ALTER TABLE ONLY s.a ADD CONSTRAINT f FOREIGN KEY (x) REFERENCES s.root(x);')).toEqual([
      { family: 'a', mode: 'exclusive' },
      { family: 'tree', mode: 'exclusive' },
    ]);
  });

  it('of post-data that is not understood runs it last, alone, as it stands', () => {
    const tasks = planLoad({
      data: { rows: [], rest: [], sizes: new Map() },
      restRawBytes: 0,
      items: undefined,
      session,
      made: { relations, enums: new Set() },
      analyze: true,
    });
    expect(tasks.at(-1)).toMatchObject({ work: { kind: 'post-data' }, afterAll: true, alone: true });
  });
});

describe('statistics of large tables', () => {
  const large = { rows: 1_000_000, rawBytes: 64 * 1024 * 1024 };
  const all = ['a', 'b', 'root', 'leaf_1', 'zones', 'parent'];
  const planned = (statements: [sql: string, type: string][], sizes = new Map(all.map((each) => [key(each), large]))) =>
    planLoad({
      data: {
        rows: all.map((each) => ({ chunks: [1], tables: new Set([key(each)]), freeze: true, rawBytes: 1 })),
        rest: [],
        sizes,
      },
      restRawBytes: 0,
      items: statements.map(([sql, type]) => itemOf({ sql, type, about: [], kind: 'other' })),
      session,
      made: { relations: new Map([...relations].map(([of, each]) => [of, calledSo(of, each)])), enums: new Set() },
      analyze: true,
    });
  /** As they are called. */
  const calledSo = (of: string, relation: Relation): Relation => ({
    ...relation,
    name: (JSON.parse(of) as string[])[1] ?? '',
  });
  const analyzed = (tasks: LoadTask[]) =>
    tasks.flatMap((task) => (task.work.kind === 'analyze' ? [[task.work.table.name, task] as const] : []));

  it('come once rows and indexes are there, of tables that stand alone', () => {
    const tasks = planned([
      ['CREATE INDEX i ON s.a USING gin (x);', 'INDEX'],
      ['ALTER TABLE ONLY s.a ADD CONSTRAINT p PRIMARY KEY (x);', 'CONSTRAINT'],
      ['CREATE TRIGGER t AFTER INSERT ON s.a FOR EACH ROW EXECUTE FUNCTION s.f();', 'TRIGGER'],
    ]);
    const [[first, task] = [], [second] = []] = analyzed(tasks);
    expect([first, second, analyzed(tasks).length]).toEqual(['a', 'b', 2]);
    const kinds = task?.after?.map(({ work }) =>
      work.kind === 'item' ? String(work.item.statements[0]?.sql) : work.kind,
    );
    expect(kinds).toEqual([
      'rows',
      'CREATE INDEX i ON s.a USING gin (x);',
      'ALTER TABLE ONLY s.a ADD CONSTRAINT p PRIMARY KEY (x);',
    ]);
    expect(task?.locks).toEqual([{ family: 'a', relation: key('a'), mode: 'exclusive' }]);
  });

  it.each([
    ['CREATE STATISTICS s.st ON x, y FROM s.a;', 'STATISTICS', ['b']],
    ['CREATE INDEX i ON s.a USING btree (s.f(x));', 'INDEX', ['b']],
    ['CREATE UNIQUE INDEX i ON s.b USING btree (s.f(x));', 'INDEX', ['a']],
    ['CREATE STATISTICS s.st ON x;', 'STATISTICS', []],
  ])('wait for all of it where %s comes last', (sql, type, left) => {
    expect(analyzed(planned([[sql, type]])).map(([of]) => of)).toEqual(left);
  });

  it('of small ones come at the end', () => {
    expect(analyzed(planned([], new Map([[key('a'), { rows: 10, rawBytes: 1000 }]])))).toEqual([]);
  });
});
