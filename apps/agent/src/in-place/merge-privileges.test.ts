import { expect, test } from 'vitest';
import { Privileges } from '../restore/privileges.ts';
import { mergePrivileges, objectOf } from './merge-privileges.ts';

const sql = (...statements: string[]) => statements.map((one) => Buffer.from(one, 'utf8'));
const merged = (backup: string[], live: string[], database: string[] = []) => {
  const { privileges, notes } = mergePrivileges(
    new Privileges(sql(...backup), []),
    new Privileges(sql(...live), sql(...database)),
  );
  return { statements: privileges.ofObjects.map(String), database: privileges.ofDatabase.map(String), notes };
};

const owner = (table: string, role = 'app') => `ALTER TABLE public.${table} OWNER TO ${role};`;
const grant = (table: string, role: string) => `GRANT SELECT ON TABLE public.${table} TO ${role};`;

test.each([
  ['ALTER TABLE public.t OWNER TO app;', 'TABLE public.t'],
  ['ALTER VIEW public.t OWNER TO app;', 'TABLE public.t'],
  ['ALTER TABLE public."a "" OWNER TO b; c" OWNER TO "x y";', 'TABLE public."a "" OWNER TO b; c"'],
  ['GRANT SELECT ON TABLE public.t TO reader;', 'TABLE public.t'],
  ['GRANT SELECT("a ON TABLE b"),UPDATE(c) ON TABLE public.t TO reader;', 'TABLE public.t'],
  ['REVOKE ALL ON FUNCTION public.f(a integer, b text) FROM PUBLIC;', 'FUNCTION public.f(a integer, b text)'],
  ['GRANT ALL ON PROCEDURE public.f(a integer) TO x WITH GRANT OPTION;', 'FUNCTION public.f(a integer)'],
  ['GRANT ALL ON SEQUENCE public."TO x" TO y;', 'TABLE public."TO x"'],
  ['ALTER MATERIALIZED VIEW public.m OWNER TO app;', 'TABLE public.m'],
  ['GRANT USAGE ON FOREIGN SERVER s TO y;', 'SERVER s'],
  ['ALTER SERVER s OWNER TO y;', 'SERVER s'],
  ['ALTER OPERATOR FAMILY public.o USING btree OWNER TO y;', 'OPERATOR FAMILY public.o USING btree'],
  ['GRANT USAGE ON SCHEMA "Träume" TO y;', 'SCHEMA "Träume"'],
])('%s', (statement, object) => {
  const found = objectOf(Buffer.from(statement, 'utf8'));
  expect(Buffer.from(found?.object ?? '', 'latin1').toString()).toBe(object);
});

test.each([
  'ALTER DEFAULT PRIVILEGES FOR ROLE a IN SCHEMA public GRANT SELECT ON TABLES TO b;',
  "SET client_encoding = 'UTF8';",
  'GRANT SELECT ON LARGE OBJECT 1, 2 TO x;',
])('%s is of no object', (statement) => {
  expect(objectOf(Buffer.from(statement))).toBeUndefined();
});

test('who got a right since the backup keeps it, and who lost one does not get it back', () => {
  const before = [owner('t'), grant('t', 'left')];
  const now = [owner('t', 'other'), grant('t', 'joined')];
  const { statements, notes } = merged(before, now);
  expect(statements).toEqual(now);
  expect(notes).toEqual([expect.stringMatching(/had them: TABLE public\.t\.$/)]);
});

test('what became a table, or a procedure, is given to its owner by words that do for both', () => {
  const before = ['ALTER TABLE public.t OWNER TO a;', 'ALTER FUNCTION public.f() OWNER TO a;'];
  const { statements } = merged(before, ['ALTER VIEW public.t OWNER TO b;', 'ALTER PROCEDURE public.f() OWNER TO b;']);
  expect(statements).toEqual(['ALTER TABLE public.t OWNER TO b;', 'ALTER ROUTINE public.f() OWNER TO b;']);
});

test('settings of the database and default privileges are told where they differ', () => {
  const defaults = (role: string) => `ALTER DEFAULT PRIVILEGES FOR ROLE a GRANT SELECT ON TABLES TO ${role};`;
  expect(merged([defaults('x')], [defaults('y')], ['ALTER DATABASE app OWNER TO y;']).notes).toEqual([
    expect.stringMatching(/default privileges, the database itself\.$/),
  ]);
});

test('what is the same is not told', () => {
  expect(merged([owner('t'), grant('t', 'a')], [owner('t'), grant('t', 'a')]).notes).toEqual([]);
});

test('a table that was dropped since has what the backup says; one that was made since is left alone', () => {
  const { statements, notes } = merged([owner('dropped'), grant('dropped', 'a')], [owner('made'), grant('made', 'b')]);
  expect(statements).toEqual([owner('dropped'), grant('dropped', 'a')]);
  expect(notes).toEqual([]);
});

test('what belongs to nobody, such as a function of the server, is as it is now', () => {
  const now = ['GRANT ALL ON FUNCTION pg_catalog.pg_ls_dir(text) TO a;'];
  expect(merged(['GRANT ALL ON FUNCTION pg_catalog.pg_ls_dir(text) TO b;'], now).statements).toEqual(now);
});

test('default privileges and the database itself are as they are now, large objects as in the backup', () => {
  const defaults = (role: string) => `ALTER DEFAULT PRIVILEGES FOR ROLE a GRANT SELECT ON TABLES TO ${role};`;
  const objects = (list: string) => `GRANT SELECT ON LARGE OBJECT ${list} TO x;`;
  const { statements, database } = merged(
    ["SET client_encoding = 'UTF8';", defaults('old'), objects('1, 2')],
    ["SET client_encoding = 'LATIN1';", defaults('new'), objects('1, 2, 3')],
    ['ALTER DATABASE app OWNER TO y;'],
  );
  expect(statements).toEqual([
    "SET client_encoding = 'UTF8';",
    objects('1, 2'),
    "SET client_encoding = 'LATIN1';",
    defaults('new'),
  ]);
  expect(database).toEqual(['ALTER DATABASE app OWNER TO y;']);
});

test('a backup without any has all of the live ones tried', () => {
  const live = new Privileges(sql(owner('t'), grant('t', 'a')), []);
  expect(mergePrivileges(undefined, live).privileges.ofObjects).toEqual(live.ofObjects);
});

test('what every database has is as the replaced one has it, also where one of the two says nothing of it', () => {
  const given = ['ALTER SCHEMA public OWNER TO app;', 'GRANT CREATE ON SCHEMA public TO joined;'];
  expect(merged([], given).statements).toEqual(given);
  expect(merged(given, []).statements).toEqual([]);
});

test('an aggregate of anything, or of an order, has no other word', () => {
  const aggregates = ['a(*)', 'a(integer ORDER BY integer)'].map(
    (name) => `ALTER AGGREGATE public.${name} OWNER TO a;`,
  );
  expect(merged(aggregates, aggregates).statements).toEqual(aggregates);
  const plain = ['ALTER AGGREGATE public.a(integer) OWNER TO a;'];
  expect(merged(plain, plain).statements).toEqual(['ALTER ROUTINE public.a(integer) OWNER TO a;']);
});
