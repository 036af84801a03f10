import { describe, expect, it } from 'vitest';
import { paragraphOf } from '@strideiq/core';
import { relationKey } from '@strideiq/dump';
import { AgentError } from '../errors.ts';
import { isOfSelection, selectFrom } from './selection.ts';

const rows = (schema: string, name: string) => ({ schema, name, rows: 1 });
const manifest = {
  tables: [
    rows('app', 'run'),
    rows('App', 'run'),
    rows('app', 'athletes'),
    rows('app', 'tree_a'),
    rows('app', 'tree_b_1'),
    rows('app', 'hashed'),
    rows('odd "x"', 'a.b'),
  ],
  inventory: [
    ...['run', 'athletes', 'tree_a', 'tree_b_1', 'hashed_0', 'child'].map((name) => ({
      kind: 'table',
      identity: `app.${name}`,
    })),
    { kind: 'table', identity: '"App".run' },
    { kind: 'table', identity: '"odd ""x"""."a.b"' },
    ...['tree', 'tree_b', 'hashed'].map((name) => ({ kind: 'partitioned table', identity: `app.${name}` })),
    { kind: 'inheritance', identity: 'app.tree_a', parts: ['app.tree'] },
    { kind: 'inheritance', identity: 'app.tree_b', parts: ['app.tree'] },
    { kind: 'inheritance', identity: 'app.tree_b_1', parts: ['app.tree_b'] },
    { kind: 'inheritance', identity: 'app.hashed_0', parts: ['app.hashed'] },
    { kind: 'inheritance', identity: 'app.child', parts: ['app.run'] },
    { kind: 'view', identity: 'app.overview' },
  ],
};
const select = (...tables: string[]) => selectFrom(manifest, { tables, postData: true });
const keys = (...names: [string, string][]) => new Set(names.map(([schema, name]) => relationKey({ schema, name })));
/** The cure of the refusal. */
const cureOf = (...tables: string[]): string => {
  try {
    select(...tables);
  } catch (error) {
    if (error instanceof AgentError && error.code === 'TableNotFound') return paragraphOf(error);
    throw error;
  }
  throw new Error('it was found');
};

describe('a table', () => {
  it('is found as it is written, quoted or in the case of SQL, and without its schema where one alone is called so', () => {
    expect(select('app.run').tables).toEqual(keys(['app', 'run']));
    expect(select('"App".run').tables).toEqual(keys(['App', 'run']));
    expect(select('APP.Athletes').tables).toEqual(keys(['app', 'athletes']));
    expect(select('athletes', 'app.run').tables).toEqual(keys(['app', 'athletes'], ['app', 'run']));
    expect(select('"odd ""x"""."a.b"')).toMatchObject({
      tables: keys(['odd "x"', 'a.b']),
      identities: new Set(['"odd ""x"""."a.b"']),
    });
  });

  it('stands for its partitions, also those of partitions, but not for what inherits from it', () => {
    expect(select('app.tree').tables).toEqual(
      keys(['app', 'tree'], ['app', 'tree_a'], ['app', 'tree_b'], ['app', 'tree_b_1']),
    );
    expect(select('app.tree_b').tables).toEqual(keys(['app', 'tree_b'], ['app', 'tree_b_1']));
  });

  it('that is not there is refused with those that are like it', () => {
    expect(cureOf('app.athlets')).toContain('Is it "app.athletes"?');
    expect(cureOf('athlets')).toContain('Is it "app.athletes"?');
    expect(cureOf('nothing.of.it')).toContain('`strideiq-agent show REF` lists those that it holds');
    expect(cureOf('app.overview')).toContain('no table "app.overview"');
    expect(cureOf('app.run', 'app.nothing')).toContain('no table "app.nothing"');
  });

  it('that may be one of several is refused with their names', () => {
    expect(cureOf('run')).toContain('several tables "run": app.run, App.run');
  });

  it('whose rows stand among those of its root is refused, and the root taken', () => {
    expect(cureOf('app.hashed_0')).toContain('among those of app.hashed');
    expect(select('app.hashed').tables).toEqual(keys(['app', 'hashed'], ['app', 'hashed_0']));
  });
});

describe('what is compared afterwards', () => {
  const run = select('app.run');
  it.each([
    [{ kind: 'function', identity: 'app.f()' }, true],
    [{ kind: 'table', identity: 'app.athletes' }, true],
    [{ kind: 'index', identity: 'app.i', parts: ['on app.run', 'unique'] }, true],
    [{ kind: 'index', identity: 'app.i', parts: ['on app.athletes', 'unique'] }, false],
    [{ kind: 'constraint', identity: 'app.run run_pkey', parts: ['primary key'] }, true],
    [{ kind: 'constraint', identity: 'app.run run_fkey', parts: ['foreign key'] }, false],
    [{ kind: 'constraint', identity: 'app.runner c', parts: ['check'] }, false],
    [{ kind: 'trigger', identity: 'app.run t' }, true],
    [{ kind: 'row security', identity: 'app.athletes' }, false],
    [{ kind: 'publication', identity: 'p' }, false],
    [{ kind: 'large objects', identity: 'all', parts: ['3'] }, false],
  ])('of a table: %o', (object, belongs) => {
    expect(isOfSelection(object, run)).toBe(belongs);
    expect(isOfSelection(object, { ...run, postData: false })).toBe(
      belongs && !/index|constraint|trigger/.test(object.kind),
    );
  });

  it('of a schema without rows is everything but large objects', () => {
    const schema = selectFrom(manifest, { tables: [], postData: true });
    expect(schema.tables).toBeUndefined();
    expect(isOfSelection({ kind: 'publication', identity: 'p' }, schema)).toBe(true);
    expect(isOfSelection({ kind: 'large objects', identity: 'all' }, schema)).toBe(false);
  });
});
