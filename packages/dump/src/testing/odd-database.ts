/** SQL that makes a database whose names, bodies and rows look like parts of a dump. */
export const oddDatabase = String.raw`
CREATE SCHEMA "odd ""schema; Type: INDEX; Schema: x";
CREATE TABLE "odd ""schema; Type: INDEX; Schema: x"."t;--( ' \ $$ x" ("a b" text, "C,(""d" int PRIMARY KEY, e bytea);
INSERT INTO "odd ""schema; Type: INDEX; Schema: x"."t;--( ' \ $$ x"
  SELECT E'\\.\n\\\\.\r\t' || chr(233) || i, i, decode('00ff5c2e0a', 'hex') FROM generate_series(1, 1000) i;
CREATE TABLE "line
break; Type: TABLE DATA" ("co
l" text);
INSERT INTO "line
break; Type: TABLE DATA" VALUES ('x');
CREATE TABLE no_columns ();
INSERT INTO no_columns SELECT FROM generate_series(1, 7);
CREATE TABLE no_rows (a text);
CREATE TABLE one_column (a text);
INSERT INTO one_column SELECT CASE i % 6 WHEN 0 THEN '' WHEN 1 THEN E'\\.' WHEN 2 THEN NULL WHEN 3 THEN E'\n\\.\n'
  WHEN 4 THEN E'\\restrict x' ELSE 'COPY public.x (a) FROM stdin;' END FROM generate_series(1, 20000) i;
CREATE TABLE select_ ("select" int GENERATED ALWAYS AS IDENTITY, "from" text GENERATED ALWAYS AS ('x;') STORED, stdin text);
INSERT INTO select_ (stdin) SELECT repeat('wide ', 50) FROM generate_series(1, 2000);
CREATE FUNCTION body() RETURNS int LANGUAGE sql BEGIN ATOMIC
  SELECT CASE WHEN 1 = 1 THEN 2 ELSE 3 END; SELECT (CASE WHEN true THEN 1 END); SELECT 5; END;
CREATE FUNCTION after_body() RETURNS int LANGUAGE sql RETURN 1;
CREATE PROCEDURE lookalikes() LANGUAGE plpgsql AS $body$ BEGIN PERFORM 'x;$$ \.'; /* COPY public.x (a) FROM stdin;
\.
*/ END $body$;
CREATE FUNCTION quoting() RETURNS text LANGUAGE sql AS $_$ SELECT $x$ COPY a FROM stdin;
\.
-- PostgreSQL database dump complete
-- Name: a; Type: INDEX; Schema: b; Owner: -
\connect x
$x$ $_$;
CREATE TABLE audit (a int);
CREATE RULE two_steps AS ON INSERT TO no_rows DO ALSO (INSERT INTO audit VALUES (1); INSERT INTO audit VALUES (2));
COMMENT ON TABLE audit IS E'it''s \\ ; "x" -- no /* comment\n\\.\n-- Name: x; Type: INDEX; Schema: y; Owner: -';
CREATE VIEW view AS SELECT 'a;b'::text AS "x;y", U&'\0041' AS z, E'\\''' AS e, 1 - -1 AS dashes;
SELECT lo_create(4711);
CREATE FUNCTION fires_not() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
CREATE OPERATOR public.@-/ (FUNCTION = int4pl, LEFTARG = int, RIGHTARG = int);
CREATE SEQUENCE "S q.'1";
SELECT setval('"S q.''1"', 9007199254740995);
CREATE SEQUENCE unused START 42;
SELECT lo_from_bytea(0, convert_to(repeat('x;''\', 20000), 'UTF8')) FROM generate_series(1, 3);
CREATE INDEX "i;" ON one_column ((a || ';'));
CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM one_column;
CREATE TYPE mood AS ENUM ('a;', 'b');
CREATE DOMAIN positive AS int CHECK (value > 0);
ALTER TABLE audit ADD CONSTRAINT late CHECK (a > 0) NOT VALID;
CREATE POLICY "p;" ON audit USING (a > 1);
ALTER TABLE audit ENABLE ROW LEVEL SECURITY;
CREATE STATISTICS st ON stdin, "select" FROM select_;
CREATE PUBLICATION pub FOR TABLE audit;
GRANT SELECT ("C,(""d") ON "odd ""schema; Type: INDEX; Schema: x"."t;--( ' \ $$ x" TO pg_monitor WITH GRANT OPTION;
GRANT USAGE ON SCHEMA "odd ""schema; Type: INDEX; Schema: x" TO PUBLIC;
REVOKE ALL ON FUNCTION fires_not() FROM PUBLIC;
ALTER TABLE audit OWNER TO pg_monitor;
GRANT ALL ON audit TO pg_read_all_stats;
GRANT SELECT ON LARGE OBJECT 4711 TO pg_monitor;
CREATE UNIQUE INDEX "at; OWNER TO ""x""" ON audit (a);
ALTER TABLE audit ALTER a SET NOT NULL;
ALTER TABLE audit REPLICA IDENTITY USING INDEX "at; OWNER TO ""x""";
GRANT SELECT ON no_rows TO pg_monitor WITH GRANT OPTION;
SET ROLE pg_monitor;
GRANT SELECT ON no_rows TO pg_read_all_stats;
RESET ROLE;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO pg_monitor;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;
CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE TRIGGER tr BEFORE INSERT ON audit FOR EACH ROW WHEN (new.a <> 7) EXECUTE FUNCTION fires();
`;
