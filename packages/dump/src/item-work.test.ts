import { describe, expect, it } from 'vitest';
import { readItemWork } from './item-work.ts';
import { relationKey } from './relation-name.ts';

const names = { clientEncoding: 'UTF8', enums: new Set([relationKey({ schema: 'app', name: 'sport' })]) };
const work = (...statements: string[]) =>
  readItemWork(
    statements.map((sql) => Buffer.from(sql)),
    names,
  );
const table = { schema: 'app', name: 'run' };

describe('an index', () => {
  it.each([
    ['CREATE INDEX i ON app.run USING btree (a, b DESC NULLS LAST) INCLUDE (c);', 'btree'],
    ['CREATE UNIQUE INDEX i ON app.run USING btree (a) NULLS NOT DISTINCT WHERE flagged;', 'btree'],
    ['CREATE INDEX i ON ONLY app.run USING btree (athlete_id, day);', 'btree'],
    ['CREATE INDEX i ON app.run USING gin (body public.gin_trgm_ops);', 'gin'],
    ["CREATE INDEX i ON app.run USING gist (body public.gist_trgm_ops (siglen='32')) WITH (fillfactor='70');", 'gist'],
    [
      'CREATE INDEX "of; app.f(x)" ON app.run USING btree (lower(title) text_pattern_ops) WHERE (title IS NOT NULL);',
      'btree',
    ],
    ["CREATE INDEX i ON app.run USING btree (((a || '; app.f(x)'::text))) WHERE (n > 1.5);", 'btree'],
    ["CREATE INDEX i ON app.run USING btree (a) WHERE (sport = 'run'::app.sport);", 'btree'],
    [
      "CREATE INDEX i ON app.run USING btree (a) WHERE (sport = ANY (ARRAY['run'::app.sport, 'ride'::app.sport]));",
      'btree',
    ],
    ['CREATE INDEX i ON app.run USING btree (title COLLATE app.german);', 'btree'],
  ])('of one table alone: %s', (sql, method) => {
    expect(work(sql)).toEqual({ kind: 'index', table, method, lock: 'share' });
  });

  it.each([
    ['a function of a user', 'CREATE INDEX i ON app.run USING btree (app.f(x));'],
    ['one within an expression', 'CREATE INDEX i ON app.run USING btree (((a || app.f(x))));'],
    ['one in the arguments of another', 'CREATE INDEX i ON app.run USING btree (lower(app.f(x)));'],
    ['one in the predicate', 'CREATE INDEX i ON app.run USING btree (a) WHERE app.f(x);'],
    ['an operator of a user', 'CREATE INDEX i ON app.run USING btree (((a OPERATOR(public.+) b)));'],
    ['a cast to a type that may check values', "CREATE INDEX i ON app.run USING btree (a) WHERE (m = 'x'::app.email);"],
    ['a table without its schema', 'CREATE INDEX i ON run USING btree (a);'],
    ['a name that is written in escapes', 'CREATE INDEX i ON app.U&"r\\0075n" USING btree (a);'],
    ['a string that is written in escapes', "CREATE INDEX i ON app.run USING btree (((a || E'\\n')));"],
    ['a comment in it', 'CREATE INDEX i /* of; */ ON app.run USING btree (a);'],
    ['CONCURRENTLY', 'CREATE INDEX CONCURRENTLY i ON app.run USING btree (a);'],
  ])('keeps its place for %s', (_, sql) => {
    expect(work(sql)).toEqual({ kind: 'ordered' });
  });

  it('locks its table for what pg_dump adds to it', () => {
    const made = 'CREATE INDEX i ON app.run USING btree (a);';
    const locking = { kind: 'index', table, method: 'btree', lock: 'exclusive' };
    expect(work(made, 'ALTER TABLE app.run CLUSTER ON i;')).toEqual(locking);
    expect(work(made, 'ALTER TABLE ONLY app.run REPLICA IDENTITY USING INDEX i;')).toEqual(locking);
    expect(work(made, 'ALTER INDEX app.i ALTER COLUMN 1 SET STATISTICS 100;')).toEqual(locking);
    expect(work(made, 'ALTER TABLE app.other CLUSTER ON i;')).toEqual({ kind: 'ordered' });
    expect(work(made, 'ALTER TABLE app.run DISABLE TRIGGER ALL;')).toEqual({ kind: 'ordered' });
    expect(work(made, 'CREATE INDEX j ON app.other USING btree (a);')).toEqual({ kind: 'ordered' });
  });
});

describe('a constraint', () => {
  it.each([
    ['ALTER TABLE ONLY app.run\n    ADD CONSTRAINT "p;k" PRIMARY KEY (id, day);', 'btree'],
    ['ALTER TABLE ONLY app.run ADD CONSTRAINT u UNIQUE NULLS NOT DISTINCT (a) DEFERRABLE;', 'btree'],
    [
      "ALTER TABLE ONLY app.run ADD CONSTRAINT x EXCLUDE USING gist (int8range(a, a, '[]'::text) WITH =, valid WITH &&);",
      'gist',
    ],
  ])('makes an index, and locks its table: %s', (sql, method) => {
    expect(work(sql)).toEqual({ kind: 'index', table, method, lock: 'exclusive' });
  });

  it('that refers to another table is about both', () => {
    const sql =
      'ALTER TABLE ONLY app.run\n    ADD CONSTRAINT f FOREIGN KEY (a, b) REFERENCES "o ""x""".t(c, d) ON DELETE CASCADE;';
    expect(work(sql)).toEqual({ kind: 'foreign-key', table, references: { schema: 'o "x"', name: 't' } });
  });

  it.each([
    'ALTER TABLE app.run ADD CONSTRAINT c CHECK ((a > 0)) NOT VALID;',
    'ALTER TABLE app.run ADD CONSTRAINT c NOT NULL a NOT VALID;',
    'ALTER TABLE ONLY app.run ADD CONSTRAINT x EXCLUDE USING gist (a WITH OPERATOR(public.&&));',
    'ALTER TABLE ONLY app.run ADD CONSTRAINT x EXCLUDE USING gist (app.f(a) WITH =);',
    'ALTER INDEX app.i ATTACH PARTITION app.j;',
    'CREATE TRIGGER t AFTER INSERT ON app.run FOR EACH ROW EXECUTE FUNCTION app.f();',
    'REFRESH MATERIALIZED VIEW app.m;',
    'COMMENT ON INDEX app.i IS $$x$$;',
    'SELECT 1;',
  ])('or anything else keeps its place: %s', (sql) => {
    expect(work(sql)).toEqual({ kind: 'ordered' });
  });
});

it('nothing at all keeps its place', () => {
  expect(work()).toEqual({ kind: 'ordered' });
});

it('names are read in the encoding of the dump', () => {
  const sql = Buffer.from('CREATE INDEX i ON app."caf\u00e9" USING btree (a);', 'latin1');
  expect(readItemWork([sql], { clientEncoding: 'LATIN1', enums: new Set() })).toMatchObject({
    table: { schema: 'app', name: 'caf\u00e9' },
  });
});
