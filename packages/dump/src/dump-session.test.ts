import { describe, expect, it } from 'vitest';
import { DumpSession } from './dump-session.ts';
import { sessionEffect } from './session-effect.ts';

const effectOf = (sql: string) => sessionEffect(Buffer.from(sql));

describe('what a statement leaves behind', () => {
  it.each([
    ["SET client_encoding = 'UTF8';", 'client_encoding'],
    ['SET statement_timeout = 0;', 'statement_timeout'],
    ["SET default_tablespace = '';", 'default_tablespace'],
    ['SET default_tablespace = "fast; disk";', 'default_tablespace'],
    ['SET default_table_access_method = heap;', 'default_table_access_method'],
    ["SELECT pg_catalog.set_config('search_path', '', false);", 'search_path'],
  ])('a setting: %s', (sql, name) => {
    expect(effectOf(sql)).toEqual({ kind: 'setting', name });
  });

  it.each([
    'CREATE TABLE app.temporary (a integer);',
    'CREATE FUNCTION app.f() RETURNS trigger LANGUAGE plpgsql SET search_path TO app, pg_temp AS $$SET ROLE x;$$;',
    'ALTER TABLE ONLY app.t ADD CONSTRAINT p PRIMARY KEY (a);',
    "COMMENT ON TABLE app.t IS 'SET ROLE x';",
    "SELECT pg_catalog.setval('app.s', 5, true);",
    "SELECT pg_catalog.lowrite(0, '\\x00');",
    "SELECT * FROM pg_catalog.pg_restore_relation_stats('version', '180000'::integer);",
    'COPY app.t (a) FROM stdin;\n',
    'REFRESH MATERIALIZED VIEW app.m;',
    'INSERT INTO app.t VALUES (1);',
  ])('nothing: %s', (sql) => {
    expect(effectOf(sql)).toEqual({ kind: 'none' });
  });

  it.each([
    'SET ROLE postgres;',
    "SET role = 'postgres';",
    "SET SESSION AUTHORIZATION 'postgres';",
    'SET LOCAL work_mem = 1;',
    'SET search_path TO a, b;',
    "SELECT pg_catalog.set_config('role', 'postgres', false);",
    'CREATE TEMP TABLE t (a int);',
    'CREATE LOCAL TEMPORARY VIEW t AS SELECT 1;',
    'CREATE TABLE pg_temp.t (a int);',
    'CREATE /* not */ TEMP TABLE t (a int);',
    'DO $$ BEGIN END $$;',
    'SELECT app.f();',
    'RESET ALL;',
    'PREPARE x AS SELECT 1;',
    'LISTEN x;',
    'SAVEPOINT s;',
  ])('what cannot be known: %s', (sql) => {
    expect(effectOf(sql)).toEqual({ kind: 'unknown' });
  });

  it('a transaction', () => {
    expect([effectOf('BEGIN;'), effectOf('COMMIT;')]).toEqual([
      { kind: 'transaction', step: 'begin' },
      { kind: 'transaction', step: 'end' },
    ]);
  });
});

describe('a session that is followed', () => {
  const follow = (session: DumpSession, ...statements: string[]) => {
    for (const sql of statements) session.follow(Buffer.from(sql));
    return session;
  };

  it('is known by its settings, of which each place keeps its own', () => {
    const session = follow(
      new DumpSession(),
      "SET client_encoding = 'LATIN1';",
      'SET standard_conforming_strings = off;',
      "SELECT pg_catalog.set_config('search_path', '', false);",
      "SET default_tablespace = '';",
    );
    const before = session.settings;
    follow(session, 'CREATE TABLE app.t ();', 'SET default_tablespace = fast;', 'BEGIN;', 'COMMIT;');
    expect([session.known, session.searchesNothing]).toEqual([true, true]);
    expect(session.scan).toEqual({ clientEncoding: 'LATIN1', standardStrings: false });
    expect(before.get('default_tablespace')?.toString()).toBe("SET default_tablespace = '';");
    expect(session.settings.get('default_tablespace')?.toString()).toBe('SET default_tablespace = fast;');
    expect([...session.settings.keys()]).toHaveLength(4);
  });

  it('is not known within a transaction, nor after another role was taken', () => {
    const session = follow(new DumpSession(), 'BEGIN;');
    expect(session.known).toBe(false);
    expect(follow(session, 'COMMIT;').known).toBe(true);
    expect(follow(session, 'SET ROLE x;', "SET client_encoding = 'UTF8';").known).toBe(false);
  });

  it('that has a search_path does not say whose names are meant', () => {
    expect(new DumpSession().searchesNothing).toBe(false);
    expect(follow(new DumpSession(), "SET search_path = 'public';").searchesNothing).toBe(false);
  });
});
