import { expect, it } from 'vitest';
import { ItemTables } from './item-tables.ts';

const item = (sql: string) => ({ toc: undefined, statements: [{ sql: Buffer.from(sql), settings: new Map() }] });
const run = { schema: 'app', name: 'run' };
const other = { schema: 'o "x"', name: 't' };

it.each([
  ['CREATE UNIQUE INDEX i ON ONLY app.run USING btree (app.f(a)) WHERE (b = $$x$$);', [run]],
  ['ALTER TABLE ONLY app.run\n    ADD CONSTRAINT p PRIMARY KEY (id);', [run]],
  ['ALTER TABLE ONLY app.run ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES "o ""x""".t(b) NOT VALID;', [run, other]],
  ["ALTER TABLE app.run ADD CONSTRAINT c CHECK ((a <> E'\\n'));", [run]],
  ['ALTER TABLE app.run ENABLE ROW LEVEL SECURITY;', [run]],
  ['ALTER TABLE app.run DISABLE TRIGGER t;', [run]],
  ['CREATE TRIGGER "on" AFTER UPDATE OF a ON app.run FOR EACH ROW EXECUTE FUNCTION app.f();', [run]],
  ['CREATE CONSTRAINT TRIGGER t AFTER DELETE ON app.run DEFERRABLE FOR EACH ROW EXECUTE FUNCTION app.f();', [run]],
  ['CREATE RULE r AS\n    ON DELETE TO app.run DO INSTEAD NOTHING;', [run]],
  ['CREATE POLICY p ON app.run TO r USING (true);', [run]],
  ['CREATE STATISTICS app.s (dependencies) ON a, b FROM app.run;', [run]],
  ['CREATE STATISTICS app.s ON EXTRACT(year FROM app.f(d)), ((a IS DISTINCT FROM app.g(b))) FROM app.run;', [run]],
  ["COMMENT ON TRIGGER t ON app.run IS E'\\n';", [run]],
])('what stands in post-data is about its table: %s', (sql, tables) => {
  expect(new ItemTables('UTF8').of(item(sql))).toEqual(tables);
});

it.each([
  'REFRESH MATERIALIZED VIEW app.m;',
  'CREATE PUBLICATION p;',
  'ALTER PUBLICATION p ADD TABLE ONLY app.run;',
  'CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION app.f();',
  'ALTER INDEX app.unknown ATTACH PARTITION app.i;',
  'COMMENT ON VIEW app.v IS $$x$$;',
  "CREATE STATISTICS app.s ON EXTRACT(year FROM app.f(d)), ((a || E'\\n')) FROM app.run;",
])('and some is about none: %s', (sql) => {
  expect(new ItemTables('UTF8').of(item(sql))).toBeUndefined();
});

it('an index is known by its table from there on', () => {
  const tables = new ItemTables('UTF8');
  tables.of(item('CREATE INDEX i ON ONLY app.run USING btree (a);'));
  tables.of(item('ALTER TABLE ONLY "o ""x""".t ADD CONSTRAINT "part; key" PRIMARY KEY (a);'));
  expect(tables.of(item('ALTER INDEX app.i ATTACH PARTITION "o ""x"""."part; key";'))).toEqual([run, other]);
  expect(tables.of(item("COMMENT ON INDEX app.i IS 'x';"))).toEqual([run]);
});
