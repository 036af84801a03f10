-- Names that a reader of dumps may trip over: of schemas, tables, columns, indexes, constraints, sequences, triggers.
DO $$
BEGIN
    PERFORM pg_advisory_xact_lock(7306);
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'odd "role"; --\') THEN
        CREATE ROLE "odd ""role""; --\" NOLOGIN;
    END IF;
END
$$;

CREATE SCHEMA odd;
COMMENT ON SCHEMA odd IS E'A comment of several lines:\nCOPY odd.nothing (a) FROM stdin;\n1\n\\.\n\n--\n-- PostgreSQL database dump complete\n--\n';
GRANT USAGE ON SCHEMA odd TO "odd ""role""; --\";

CREATE TABLE odd.names (n integer PRIMARY KEY, name text COLLATE "C" UNIQUE);
INSERT INTO odd.names (n, name) VALUES
    (1, 'quote"d'), (2, E'new\nline'), (3, 'back\slash'), (4, 'dot.ted'), (5, '$$'), (6, '$body$'), (7, repeat('é', 31) || 'x'),
    (8, 'select'), (9, '\.'), (10, 'semi;colon'), (11, '-- Data for Name: x; Type: TABLE DATA; Schema: public; Owner: -'),
    (12, '/* opened'), (13, 'closed */'), (14, ' blank around '), (15, '👟'), (16, E'tab\tinside'), (17, 'COPY x FROM stdin;'),
    (18, E'carriage\rreturn'), (19, '%I %s %'), (20, '\connect template1'), (21, 'it''s'), (22, 'E''\'''), (23, 'U&"\0061"'),
    (24, E'\n\\.\n'), (25, 'END'), (26, 'BEGIN ATOMIC'), (27, '$1'), (28, 'Ünïcödé ’“ʼ'), (29, E'e\u0301 \u202Ertl'), (30, '--'), (31, '('),
    (32, ':variable'), (33, ':"variable"'), (34, '-- PostgreSQL database dump complete'), (35, '"'), (36, '\\'), (37, 'COMMIT;');

DO $$
DECLARE
    this record;
    listed text[] := (SELECT array_agg(name ORDER BY n) FROM odd.names);
    many integer := cardinality(listed);
BEGIN
    FOR this IN SELECT n, name, listed[1 + (n * 7) % many] AS table_name, listed[1 + (n * 7 + 11) % many] AS first, listed[1 + (n * 7 + 23) % many] AS second FROM odd.names ORDER BY n LOOP
        EXECUTE format('CREATE SCHEMA %I', this.name);
        EXECUTE format('CREATE SEQUENCE %I.%I START %s', this.name, this.second, this.n);
        EXECUTE format('CREATE TABLE %I.%I (%I integer DEFAULT nextval(%L) CONSTRAINT %I PRIMARY KEY, %I text DEFAULT %L CONSTRAINT %I CHECK (%I <> %L))',
            this.name, this.table_name, this.first, format('%I.%I', this.name, this.second), '.' || this.first, this.second, this.second, this.second, this.second, E'not \\ this;\n');
        EXECUTE format('INSERT INTO %I.%I (%I) SELECT name FROM odd.names', this.name, this.table_name, this.second);
        EXECUTE format('CREATE INDEX %I ON %I.%I (lower(%I)) WHERE %I <> %L', '!' || this.second, this.name, this.table_name, this.second, this.second, this.name);
        EXECUTE format('CREATE VIEW %I.%I AS SELECT %I AS %I, %L::text AS "?column?" FROM %I.%I', this.name, this.first, this.second, this.name, this.name, this.name, this.table_name);
        EXECUTE format('CREATE FUNCTION %I.%I(%I text DEFAULT %L) RETURNS text LANGUAGE sql AS %L', this.name, this.name, this.second, this.name, 'SELECT ' || quote_literal(this.name));
        EXECUTE format('COMMENT ON COLUMN %I.%I.%I IS %L', this.name, this.table_name, this.first, this.name);
        EXECUTE format('COMMENT ON TABLE %I.%I IS %L', this.name, this.table_name, this.name || E'\n' || this.first);
        EXECUTE format('ALTER TABLE %I.%I ENABLE ROW LEVEL SECURITY', this.name, this.table_name);
        EXECUTE format('CREATE POLICY %I ON %I.%I TO %I USING (%I = %L)', this.name, this.name, this.table_name, 'odd "role"; --\', this.second, this.first);
        EXECUTE format('GRANT SELECT (%I), INSERT ON %I.%I TO %I WITH GRANT OPTION', this.first, this.name, this.table_name, 'odd "role"; --\');
    END LOOP;
END
$$;
ALTER TABLE odd.names OWNER TO "odd ""role""; --\";
