-- One value of each kind, the extreme ones, and NULL.
CREATE TYPE odd.mood AS ENUM ('', ' ', 'it''s', '\.', ';', '"', ',', '{}', E'line\nbreak', 'NULL', '👟', '$$');
CREATE TYPE odd.inner_pair AS (a text, gone integer, b numeric);
ALTER TYPE odd.inner_pair DROP ATTRIBUTE gone;
CREATE TYPE odd.outer_pair AS ("left ""side""" odd.inner_pair, moods odd.mood[], at timestamptz);
CREATE DOMAIN odd.words AS text[] DEFAULT '{}' CONSTRAINT "few; words" CHECK (cardinality(VALUE) < 20);
CREATE DOMAIN odd.checked_pair AS odd.inner_pair CHECK ((VALUE).a <> ';');
CREATE DOMAIN odd.code AS varchar(10) COLLATE "C" NOT NULL DEFAULT E'\\''' CHECK (VALUE IN ('a', 'b', E'\\'''));
CREATE TYPE odd.float_span AS RANGE (subtype = double precision, subtype_diff = float8mi);
CREATE TYPE odd.shell;

CREATE TABLE odd.every_type (
    id integer PRIMARY KEY,
    a_bool boolean, a_int2 smallint, a_int4 integer, a_int8 bigint, a_oid oid, a_float4 real, a_float8 double precision, a_numeric numeric,
    a_typmod numeric(30, 2), a_money money, a_text text, a_varchar varchar(7), a_char char(5), a_onechar "char", a_name name, a_bytea bytea,
    a_date date, a_time time, a_timetz timetz, a_timestamp timestamp, a_timestamptz timestamptz, a_coarse timestamptz(0), an_interval interval,
    a_year interval year, a_uuid uuid, a_json json, a_jsonb jsonb, a_jsonpath jsonpath, an_xml xml, an_inet inet, a_cidr cidr, a_mac macaddr, a_mac8 macaddr8,
    a_bit bit(5), a_varbit bit varying, a_point point, a_line line, a_lseg lseg, a_box box, a_path path, a_polygon polygon, a_circle circle,
    a_tsvector tsvector, a_tsquery tsquery, an_lsn pg_lsn, a_xid8 xid8, a_snapshot pg_snapshot, a_tid tid, a_regtype regtype, a_regclass regclass,
    a_mood odd.mood, a_pair odd.outer_pair, a_words odd.words, a_checked odd.checked_pair, a_range int4range, a_numrange numrange, a_tsrange tstzrange,
    a_daterange daterange, a_float_span odd.float_span, a_multirange nummultirange, ints integer[], texts text[], moods odd.mood[], pairs odd.inner_pair[],
    jsons jsonb[], byteas bytea[], ranges int4range[], times timestamptz[], cube double precision[][][]
);
INSERT INTO odd.every_type (id) VALUES (0);
INSERT INTO odd.every_type VALUES (
    1, true, -32768, -2147483648, -9223372036854775808, 4294967295, '-Infinity', 'NaN', 'NaN', -1234567890123456789, '-92233720368547758.08',
    E'every\\\n\r\t\b\f\v"''$$ kind \u0001 \u007f \u0085 \u200b \ufeff \U0010FFFF', '', '  x', 'x', E'a\\"b', '\x00',
    '4713-01-01 BC', '00:00', '00:00+15:59', '4713-11-24 00:00:00 BC', '4713-11-24 00:00:00+00 BC', '-infinity',
    '-178000000 years -11 mons -2000000000 hours', '-7 years', '00000000-0000-0000-0000-000000000000', E'{"a" :  [1, 2.50,\n null], "a":"twice \\u0041 \\\\."}',
    '{"b": 1e400, "a": ["\\.", "\t", "€", null, {}, []], "": -0.0}', '$."odd key"[*] ? (@.a > 1 && exists (@.b))', '<a b="c">&lt;\.<!-- ; --><![CDATA[ $$ ]]></a>',
    '::ffff:1.2.3.4/96', 'fe80::/10', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', B'10101', B'', '(NaN,-Infinity)', '{1,-1,0}', '[(0,0),(1e-300,1e300)]',
    '(2,2),(1,1)', '[(0,0),(1,1),(2,0)]', '((0,0),(1,1),(2,0))', '<(0,0),5>', '''it''''s'':1A,2 b\:c:3B ''\\.'':4', '''a b'' & !(c:* <2> d:AB)',
    'FFFFFFFF/FFFFFFFF', '18446744073709551615', '10:20:10,14,15', '(4294967294,65535)', 'double precision', 'pg_catalog.pg_class', '',
    ROW(ROW(E'quote " comma , paren ( ) back \\ nl \n', NULL)::odd.inner_pair, ARRAY['', NULL, 'NULL', E'line\nbreak', '{}', '"', ',']::odd.mood[], '-infinity'),
    ARRAY['', 'NULL', NULL, '{', '"', '\', E'\n', '\.', 'a b'], ROW('', 1e-100), 'empty', '(,)', '[-infinity,infinity]', '(,5874897-12-31)', '[-Infinity,-0]',
    '{(,-5],[0,0],(7,)}', '[-5:-3]={1,NULL,3}', '{{"",NULL},{"NULL","a,b"}}', '{}', ARRAY[NULL, ROW('x', NULL), ROW(NULL, NULL)]::odd.inner_pair[],
    ARRAY['null', '"\""', NULL]::jsonb[], ARRAY['\x', '\x5c2e0a'::bytea], ARRAY['empty', '[1,5)']::int4range[], ARRAY['infinity', '2000-02-29 12:34:56.789012+00']::timestamptz[],
    '[0:1][2:3][-1:0]={{{1,2},{3,NULL}},{{NaN,-Infinity},{5e-324,1.7976931348623157e308}}}'
);
INSERT INTO odd.every_type (id, a_bool, a_int8, a_float4, a_float8, a_numeric, a_money, a_bytea, a_date, a_time, a_timetz, a_timestamp, a_timestamptz, an_interval, a_multirange, a_text)
VALUES (2, false, 9223372036854775807, 1e-45, 5e-324, (repeat('1234567890', 100) || '.' || repeat('0987654321', 100))::numeric, '92233720368547758.07',
    (SELECT decode(string_agg(lpad(to_hex(b), 2, '0'), ''), 'hex') FROM generate_series(0, 255) AS b), '5874897-12-31', '24:00', '23:59:59.999999-15:59',
    '294276-12-31 23:59:59.999999', 'infinity', '178000000 years 2000000000 hours 0.000001 s', '{}', (SELECT string_agg(chr(c), '') FROM generate_series(1, 2000) AS c)),
    (3, NULL, 0, '-0', '-0', 'Infinity', 0, '', 'infinity', '23:59:59.999999', '12:00:00.5+05:30:15', '-infinity', '1883-11-18 12:03:57+00', '1 mon -1 day 00:00:00.1', NULL, ''),
    (4, NULL, NULL, '3.4028235e38', 0.1, '-0.00000000000000000000000000000000000000000000001', NULL, '\x5c2e0a5c2e0d0a', 'epoch', NULL, NULL, 'epoch', '0001-01-01 00:00:00+00', '0', NULL, '\.'),
    (5, NULL, NULL, 0.1, 1 / 3::float8, 10::numeric ^ 4000, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '\N');

-- Rows that look like something else.
CREATE TABLE odd.lookalikes (n integer GENERATED ALWAYS AS IDENTITY (START WITH -3 INCREMENT BY -2 MINVALUE -1000 MAXVALUE 5 CYCLE), line text);
INSERT INTO odd.lookalikes (line) VALUES
    ('\.'), (E'\\.\n'), (E'\n\\.'), (E'\n\\.\n'), ('\N'), (''), (NULL), ('\'), ('\\'), ('\n'), (E'\r'), (E'\r\n'), (E'\t'), ('COPY odd.lookalikes (n, line) FROM stdin;'),
    (E'\\.\n\n\n--\n-- Data for Name: every_type; Type: TABLE DATA; Schema: odd; Owner: postgres\n--\n\nCOPY odd.every_type (id) FROM stdin;\n7\n\\.\n'),
    ('--'), ('-- PostgreSQL database dump complete'), (E'\n--\n-- PostgreSQL database dump complete\n--\n\n'), ('\unrestrict abc'), ('\restrict abc'),
    ('\connect postgres'), ('\! echo harm'), ('SELECT pg_catalog.setval(''odd.x'', 1);'), ('$$'), ('/*'), ('*/'), (''''), (U&'\2028\2029\FFFD'), (':var :''var'''), ('BEGIN;'), ('COMMIT;');
CREATE TABLE odd.one_text (line text);
INSERT INTO odd.one_text SELECT line FROM odd.lookalikes ORDER BY n DESC;

-- 3 MB in one value, with lines that end nothing.
CREATE TABLE odd.huge_row (id integer, body text, raw bytea);
INSERT INTO odd.huge_row SELECT 1, string_agg(md5(n::text) || CASE WHEN n % 1000 = 0 THEN E'\n\\.\n' ELSE '' END, '' ORDER BY n), NULL FROM generate_series(1, 96000) AS n;
INSERT INTO odd.huge_row SELECT 2, '', string_agg(decode(md5(n::text), 'hex'), '\x5c2e0a' ORDER BY n) FROM generate_series(1, 30000) AS n;

SELECT lo_from_bytea(900001, ''), lo_from_bytea(900002, '\x5c2e0a00'),
    lo_from_bytea(900003, (SELECT string_agg(decode(md5(n::text), 'hex'), '' ORDER BY n) FROM generate_series(1, 90000) AS n));
COMMENT ON LARGE OBJECT 900001 IS E'empty;\n\\.\nCOPY x FROM stdin;';
GRANT SELECT ON LARGE OBJECT 900002 TO "odd ""role""; --\";
ALTER LARGE OBJECT 900003 OWNER TO "odd ""role""; --\";
