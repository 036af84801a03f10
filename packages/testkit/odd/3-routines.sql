-- Bodies in which a reader must find the end.
CREATE FUNCTION odd.nested_quotes() RETURNS text LANGUAGE plpgsql AS $outer$
DECLARE
    a text := $inner$ one $$ two $$ three; $outer $ $inner$;
    b text := E'it\'s \\'; c text := 'C:\'; d text := U&'d\0061t\+000061 !'; e text := U&'d!0061t' UESCAPE '!';
    "$$ ; name" text := $$ ; -- not a comment $$ || $a1$ $a2$ ' $a1$;
BEGIN
    /* nested /* comment */ with ; and ' and $$ */
    -- a line with ' and $$ and ;
    EXECUTE $q$SELECT $2 || $1$q$ INTO a USING a, b;
    RETURN CASE WHEN a IS NULL THEN 'END;' ELSE a || c || d || e || "$$ ; name" END;
END
$outer$;

CREATE FUNCTION odd.looks_like_data() RETURNS text LANGUAGE sql AS $_$
SELECT '
COPY odd.every_type (id) FROM stdin;
1
\.

--
-- Data for Name: one_text; Type: TABLE DATA; Schema: odd; Owner: postgres
--

COPY odd.one_text (line) FROM stdin;
\.


--
-- PostgreSQL database dump complete
--

\unrestrict abc
\connect postgres
'::text
$_$;

CREATE FUNCTION odd.windows_lines() RETURNS integer LANGUAGE plpgsql AS E'BEGIN\r\n  -- ends with CR LF; \\.\r\n  RETURN 1;\r\nEND\r\n';

-- From the days before strings conformed to the standard: the body is read by the setting that the function carries.
CREATE FUNCTION odd.old_strings() RETURNS text LANGUAGE plpgsql
    SET standard_conforming_strings = off SET escape_string_warning = off SET search_path = odd, "$user", "semi;colon"
    AS 'BEGIN RETURN ''it\''s \\ old; $$''; END';

CREATE FUNCTION odd.empty_body() RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION odd.internal_one(text) RETURNS text LANGUAGE internal STRICT IMMUTABLE AS 'lower';
CREATE FUNCTION odd."select"("from" text DEFAULT ';$$''\', VARIADIC "END" integer[] DEFAULT '{1,2}', OUT "begin" text, OUT atomic integer) LANGUAGE sql
    AS $function$ SELECT "from", "END"[1] $function$;
COMMENT ON FUNCTION odd."select" IS E'$$ BEGIN ATOMIC; END; \\. ''quoted''\n-- Name: x; Type: TABLE; Schema: public; Owner: -';

CREATE TABLE odd.log (at integer DEFAULT 0, "end" text, "begin" text, "atomic" text);
CREATE FUNCTION odd.atomic_case(x integer, "case" text DEFAULT 'END') RETURNS text LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT CASE WHEN x > 1 THEN CASE "case" WHEN 'END;' THEN E'it''s \\' ELSE 'BEGIN ATOMIC' END ELSE U&'\0041;' END;
        SELECT "end" || "begin" AS "END;" FROM odd.log WHERE "atomic" = $2 AND (SELECT CASE WHEN true THEN 1 END) = 1;
    END;
-- Not `SET "begin"`: pg_dump prints that name bare, and psql then waits for one END too many.
CREATE PROCEDURE odd.atomic_writes("end" text) LANGUAGE sql
    BEGIN ATOMIC
        INSERT INTO odd.log ("end", "begin") VALUES ($1, CASE $1 WHEN 'END' THEN '; END' END);
        UPDATE odd.log SET "atomic" = 'end;' WHERE log."end" = 'begin atomic';
        DELETE FROM odd.log WHERE at > 100;
    END;
CREATE FUNCTION odd.atomic_nothing() RETURNS void LANGUAGE sql BEGIN ATOMIC END;
CREATE FUNCTION odd."BEGIN ATOMIC"(a integer) RETURNS integer LANGUAGE sql IMMUTABLE RETURN CASE WHEN a > 0 THEN a ELSE -a END;
CREATE FUNCTION odd.pairs() RETURNS TABLE ("a;" integer, "b'" text) LANGUAGE sql ROWS 3 COST 7 AS $$ VALUES (1, ';'), (2, '''') $$;

CREATE FUNCTION odd.noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE FUNCTION odd.ddl_seen() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
CREATE EVENT TRIGGER "odd; trigger" ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'ALTER TABLE') EXECUTE FUNCTION odd.ddl_seen();
COMMENT ON EVENT TRIGGER "odd; trigger" IS 'fires; during restores that make it too early';

-- Operators, casts, aggregates, operator classes.
CREATE FUNCTION odd.near(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT abs(length($1) - length($2)) < 2 $$;
CREATE OPERATOR odd.<~> (LEFTARG = text, RIGHTARG = text, FUNCTION = odd.near, COMMUTATOR = OPERATOR(odd.<~>), RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR odd.@#@ (RIGHTARG = integer, FUNCTION = odd."BEGIN ATOMIC");
CREATE FUNCTION odd.mood_number(odd.mood) RETURNS integer LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT length($1::text) $$;
CREATE CAST (odd.mood AS integer) WITH FUNCTION odd.mood_number(odd.mood) AS ASSIGNMENT;
CREATE CAST (odd.inner_pair AS text[]) WITH INOUT;
CREATE AGGREGATE odd.product (numeric) (sfunc = numeric_mul, stype = numeric, initcond = '1');
CREATE AGGREGATE odd."worst; of all" (double precision ORDER BY anyelement) (sfunc = ordered_set_transition, stype = internal, finalfunc = percentile_disc_final, finalfunc_extra);
CREATE AGGREGATE odd.rank_of (VARIADIC "any" ORDER BY VARIADIC "any") (sfunc = ordered_set_transition_multi, stype = internal, finalfunc = rank_final, finalfunc_extra, hypothetical);
CREATE OPERATOR FAMILY odd.lengths USING btree;
CREATE OPERATOR CLASS odd.int_reverse FOR TYPE integer USING btree FAMILY odd.lengths AS
    OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =, OPERATOR 4 <=, OPERATOR 5 <, FUNCTION 1 btint4cmp(integer, integer);

CREATE COLLATION odd."odd; C" FROM "C";
CREATE COLLATION odd.caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE CONVERSION odd.latin FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE TEXT SEARCH DICTIONARY odd.short (TEMPLATE = simple, stopwords = 'english', accept = 'false');
CREATE TEXT SEARCH CONFIGURATION odd."words; odd" (PARSER = "default");
ALTER TEXT SEARCH CONFIGURATION odd."words; odd" ADD MAPPING FOR asciiword, word, url_path WITH odd.short, simple;
COMMENT ON TEXT SEARCH CONFIGURATION odd."words; odd" IS '\.';
