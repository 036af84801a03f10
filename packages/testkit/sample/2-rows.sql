-- Every value follows from its row's number and the seed; `pg_temp.pick` and `pg_temp.noise` are made by the caller.
-- Long values are cut out of a few prepared ones, which is what makes this fast.
CREATE TEMP TABLE phrases ON COMMIT DROP AS
SELECT ARRAY[
    'Easy today, please.', 'Strong finish!', 'How did the knee feel after the long one?', 'Sleep more; run less.',
    'Tomorrow: 6 × 800 m, 90 s jog.', 'C:\runs\new\table.fit', '\.', E'line one\nline two', E'\\.\n\\.', '\N', E'tab\there',
    E'carriage\rreturn', E'Windows\r\nending', 'quote '' and "double"', '$$ not $body$ a $1 dollar quote',
    'COPY app.athletes (id) FROM stdin;', '-- Data for Name: athletes; Type: TABLE DATA; Schema: app; Owner: postgres',
    '''); DROP TABLE app.athletes; --', '/* open comment', 'Zürich – Łódź – São Paulo – Kraków', 'Доброе утро, Пётр!',
    'おはようございます。今日は軽めに走りましょう。', '明天休息。', '오늘은 쉬세요', 'صباح الخير، اركض ببطء', 'בוקר טוב', 'สวัสดีตอนเช้า',
    '👟🏃🏽‍♀️💨 👨‍👩‍👧‍👦 🇳🇴', U&'combining: e\0301 a\030A; zero\200Bwidth; \202Eright-to-left\202C', U&'edge: \FFFD \+01F600 \+10FFFF',
    U&'controls: \0001\0007\0008\000B\000C\001B\007F', '{"json": "like", "n": 1}', '&lt;b&gt;html&amp;', '%s %d %n ${HOME} `id` $(id)',
    '                    ', 'Threshold at 4:05/km, then float.', 'Heart rate drifted late; drink earlier.', 'Take the hills by effort.',
    'Race week: short, sharp, then nothing.', 'Which shoes were these?', 'You skipped the strides again :)', 'Well done.'
] AS list;

CREATE TEMP TABLE waves ON COMMIT DROP AS
SELECT
    wave,
    array_agg(round((base + swing * sin(at / (40.0 + wave * 7)) + pg_temp.noise(at * 64 + wave, 1) * swing / 3)::numeric, digits)::float8
        ORDER BY at) AS points
FROM (VALUES (0, 148, 22, 0), (1, 3.4, 0.9, 3), (2, 420, 160, 1), (3, 139, 18, 0), (4, 2.9, 1.1, 3), (5, 88, 41, 1), (6, 3.1, 0.6, 3), (7, 161, 15, 0))
    AS kinds (wave, base, swing, digits), generate_series(1, 6000) AS at
GROUP BY wave;

CREATE TEMP TABLE tracks ON COMMIT DROP AS
SELECT track, array_agg(ARRAY[round((47 + track + at / 9000.0 + pg_temp.noise(at * 16 + track, 2) / 5000)::numeric, 6)::float8,
    round((8 - track - at / 7000.0 + pg_temp.noise(at * 16 + track, 3) / 5000)::numeric, 6)::float8] ORDER BY at) AS points
FROM generate_series(0, 3) AS track, generate_series(1, 1500) AS at
GROUP BY track;

CREATE TEMP TABLE extras ON COMMIT DROP AS
SELECT variant, jsonb_build_object('device', jsonb_build_object('maker', 'Løpeklokke', 'model', variant, 'firmware', NULL),
    'cadence', jsonb_agg(round((164 + 12 * pg_temp.noise(at * 32 + variant, 4))::numeric, 1) ORDER BY at),
    'temperature', jsonb_agg(round((11 + 9 * pg_temp.noise(at * 32 + variant, 5))::numeric, 2) ORDER BY at),
    'laps', '[{"trigger": "manual", "at": 0}, {"trigger": "distance", "at": 1000, "note": "a\\b\"c\u20ac"}]'::jsonb) AS body
FROM generate_series(0, 31) AS variant, generate_series(1, 220) AS at
GROUP BY variant;

CREATE TEMP TABLE noise_bytes ON COMMIT DROP AS
SELECT string_agg(int8send(pg_temp.dice(at, 6)), '' ORDER BY at) AS body FROM generate_series(1, 20000) AS at;
ALTER TABLE noise_bytes ALTER body SET STORAGE EXTERNAL;

-- What is prepared is read as constants: fetched once, whatever the number of rows.
INSERT INTO app.teams (parent_id, name)
SELECT CASE WHEN n > 1 THEN 100 + 5 * ((n - 2) / 3) END, 'Team № ' || n FROM generate_series(1, 10) AS n ORDER BY n;

INSERT INTO app.coaches (name, fee)
SELECT 'Coach ' || n || CASE WHEN n % 3 = 0 THEN ' O''Neill\' ELSE '' END, (n * 10.5)::numeric::money
FROM generate_series(1, pg_temp.amount('coaches')) AS n ORDER BY n;

INSERT INTO app.athletes (external_id, name, email, born, sport, highest_heart_rate, coach_id, team_id, tags, settings, weight_kg, created_at)
SELECT
    md5('athlete' || pg_temp.dice(n, 10))::uuid,
    CASE WHEN n % 17 = 0 THEN '' ELSE (ARRAY['Ada', 'Søren', 'Žofie', 'Мария', '健', 'Noël', 'D''Arcy', 'Back\slash'])[pg_temp.pick(n, 11, 8)] || ' ' || n END,
    CASE WHEN n % 11 <> 0 THEN 'runner' || n || '@example.org' END,
    CASE WHEN n % 13 <> 0 THEN date '1950-01-01' + pg_temp.pick(n, 12, 20000) END,
    (enum_range(NULL::app.sport))[pg_temp.pick(n, 13, 5)],
    150 + pg_temp.pick(n, 14, 60),
    CASE WHEN n % 5 <> 0 THEN pg_temp.pick(n, 15, pg_temp.amount('coaches')) END,
    100 + 5 * (pg_temp.pick(n, 16, 10) - 1),
    CASE n % 6 WHEN 0 THEN '{}' WHEN 1 THEN ARRAY['fast', NULL, 'NULL', '', 'with,comma', 'with "quote"', 'b\s'] ELSE ARRAY['tag' || n % 40] END,
    CASE WHEN n % 7 <> 0 THEN jsonb_build_object('units', 'km', 'weekly_goal', pg_temp.pick(n, 17, 120), 'bio', phrases.list[pg_temp.pick(n, 18, cardinality(phrases.list))]) END,
    round((45 + 50 * pg_temp.noise(n, 19))::numeric, 2),
    timestamptz '2023-06-01 00:00:00Z' + pg_temp.pick(n, 20, 40000000) * interval '1 second'
FROM phrases, generate_series(1, pg_temp.amount('athletes')) AS n
ORDER BY n;

UPDATE app.coaches SET favourite_athlete_id = pg_temp.pick(id, 21, pg_temp.amount('athletes')) WHERE id % 4 <> 0;

INSERT INTO app.activities (athlete_id, sport, title, started_at, during, distance_m, duration_s, effort, weather, summary, flagged)
SELECT
    pg_temp.pick(n, 30, pg_temp.amount('athletes')),
    (enum_range(NULL::app.sport))[pg_temp.pick(n, 31, 5)],
    CASE WHEN n % 9 <> 0 THEN phrases.list[pg_temp.pick(n, 32, cardinality(phrases.list))] END,
    started_at,
    tstzrange(started_at, started_at + duration_s * interval '1 second', CASE WHEN n % 2 = 0 THEN '[)' ELSE '[]' END),
    duration_s * (2.2 + 2 * pg_temp.noise(n, 35)),
    duration_s,
    round(pg_temp.noise(n, 36)::numeric, 3),
    CASE WHEN n % 4 <> 0 THEN ROW(round((35 * pg_temp.noise(n, 37) - 8)::numeric, 1), CASE n % 3 WHEN 0 THEN 'gusty, "NW"' WHEN 1 THEN '' END, n % 5 = 0)::app.weather END,
    jsonb_build_object('laps', pg_temp.pick(n, 38, 30), 'calories', pg_temp.pick(n, 39, 2400), 'gear', 'shoe ' || pg_temp.pick(n, 40, 90),
        'zones', jsonb_build_array(pg_temp.pick(n, 41, 900), pg_temp.pick(n, 42, 900), pg_temp.pick(n, 43, 900), NULL),
        'source', (ARRAY['watch', 'phone', 'typed "in"'])[pg_temp.pick(n, 44, 3)], 'load', round((300 * pg_temp.noise(n, 45))::numeric, 4)),
    CASE pg_temp.pick(n, 46, 20) WHEN 1 THEN true WHEN 2 THEN NULL ELSE false END
FROM phrases, (
    SELECT n, timestamptz '2024-01-01 05:00:00Z' + pg_temp.pick(n, 33, 63000000) * interval '1 second' AS started_at, 600 + pg_temp.pick(n, 34, 9000) AS duration_s
    FROM generate_series(1, pg_temp.amount('activities')) AS n
) AS drawn
ORDER BY n;

INSERT INTO app.splits
SELECT
    999 + n, number, (240 + 120 * pg_temp.noise(n * 32 + number, 50))::real, 120 + 60 * pg_temp.noise(n * 32 + number, 51),
    CASE WHEN number % 3 <> 0 THEN round((40 * pg_temp.noise(n * 32 + number, 52) - 10)::numeric, 1) END,
    point(round((47 + pg_temp.noise(n * 32 + number, 53))::numeric, 6)::float8, round((8 + pg_temp.noise(n * 32 + number, 54))::numeric, 6)::float8),
    CASE number % 7 WHEN 1 THEN '' WHEN 2 THEN '\' WHEN 3 THEN 'auto lap' END
FROM generate_series(1, pg_temp.amount('activities')) AS n, generate_series(1, 5 + pg_temp.pick(n, 55, 9)) AS number;

INSERT INTO app.activity_streams
SELECT
    999 + n,
    prepared.seconds[1:long],
    prepared.wave_a[1 + skip:long + skip],
    CASE WHEN n % 10 <> 0 THEN prepared.wave_b[1 + skip:long + skip] END,
    CASE WHEN n % 3 <> 0 THEN prepared.wave_c[1 + skip / 2:long / 2 + skip / 2] END,
    CASE WHEN n % 2 = 0 THEN prepared.track[1 + skip / 4:long / 4 + skip / 4] END,
    extras.body || jsonb_build_object('id', n, 'token', md5(n::text))
FROM (
        SELECT n, pg_temp.pick(n, 60, 32) - 1 AS variant, 200 + pg_temp.pick(n, 61, 1800) AS long, pg_temp.pick(n, 62, 4000) - 1 AS skip
        FROM generate_series(1, pg_temp.amount('streams')) AS n
    ) AS drawn
    JOIN extras USING (variant)
    JOIN (
        SELECT part, (SELECT array_agg(at) FROM generate_series(0, 2000) AS at) AS seconds, a.points AS wave_a, b.points AS wave_b, c.points AS wave_c, t.points AS track
        FROM (VALUES (0, 0, 1, 2, 0), (1, 3, 4, 5, 1), (2, 7, 6, 2, 2), (3, 0, 4, 5, 3)) AS mix (part, a, b, c, t)
            JOIN waves AS a ON a.wave = mix.a JOIN waves AS b ON b.wave = mix.b JOIN waves AS c ON c.wave = mix.c JOIN tracks AS t ON t.track = mix.t
    ) AS prepared ON prepared.part = drawn.variant % 4;

INSERT INTO app.check_ins (day, athlete_id, slept, mood, resting_heart_rate, answers, remark)
SELECT
    CASE WHEN n % 50 = 0 THEN date '2021-01-01' ELSE date '2024-01-01' END + pg_temp.pick(n, 70, 730),
    pg_temp.pick(n, 71, pg_temp.amount('athletes')),
    CASE WHEN n % 8 <> 0 THEN (14400 + pg_temp.pick(n, 72, 20000)) * interval '1 second' END,
    CASE WHEN n % 6 <> 0 THEN pg_temp.pick(n, 73, 5) END,
    38 + pg_temp.pick(n, 74, 40),
    jsonb_build_object('soreness', pg_temp.pick(n, 75, 10), 'stress', pg_temp.pick(n, 76, 10), 'ill', n % 40 = 0),
    CASE n % 5 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE phrases.list[pg_temp.pick(n, 77, cardinality(phrases.list))] END
FROM phrases, generate_series(1, pg_temp.amount('check_ins')) AS n
ORDER BY n;

INSERT INTO app.coach_messages (athlete_id, coach_id, sent_at, body, reply_to, attachment)
SELECT
    pg_temp.pick(n, 80, pg_temp.amount('athletes')),
    CASE WHEN n % 3 <> 0 THEN pg_temp.pick(n, 81, pg_temp.amount('coaches')) END,
    CASE WHEN n % 19 <> 0 THEN timestamp '2024-01-01' + pg_temp.pick(n, 82, 63000000) * interval '1 second' END,
    CASE WHEN n % 31 = 0 THEN '' ELSE concat_ws(CASE n % 3 WHEN 0 THEN E'\n' ELSE ' ' END,
        phrases.list[pg_temp.pick(n, 83, cardinality(phrases.list))], phrases.list[pg_temp.pick(n, 84, cardinality(phrases.list))],
        md5(n::text), phrases.list[pg_temp.pick(n, 85, cardinality(phrases.list))], phrases.list[pg_temp.pick(n, 86, cardinality(phrases.list))]) END,
    CASE WHEN n > 10 AND n % 4 = 0 THEN n - pg_temp.pick(n, 87, 10) END,
    CASE WHEN n % 20 = 0 THEN substr(noise_bytes.body, pg_temp.pick(n, 88, 100000), pg_temp.pick(n, 89, 300)) END
FROM phrases, noise_bytes, generate_series(1, pg_temp.amount('messages')) AS n
ORDER BY n;

INSERT INTO app.fit_files
SELECT
    md5('fit' || pg_temp.dice(n, 90))::uuid, 999 + n, 'activity_' || n || '.fit',
    '\x0e10d9072e46495400'::bytea || int8send(n::bigint) || substr(noise_bytes.body, pg_temp.pick(n, 91, 130000), 200 + pg_temp.pick(n, 92, 24000))
FROM noise_bytes, generate_series(1, pg_temp.amount('fit_files')) AS n;

INSERT INTO app.voice_notes (athlete_id, recording)
SELECT
    pg_temp.pick(n, 100, pg_temp.amount('athletes')),
    lo_from_bytea((800000 + n)::oid, CASE WHEN n = 2 THEN '' ELSE int8send(n::bigint) || substr(noise_bytes.body, pg_temp.pick(n, 101, 60000), pg_temp.pick(n, 102, 90000)) END)
FROM noise_bytes, generate_series(1, pg_temp.amount('voice_notes')) AS n
ORDER BY n;

INSERT INTO app.events SELECT n, date '2025-01-01' + n::int, 'Club evening ' || n FROM generate_series(1, 12) AS n;
INSERT INTO app.races SELECT 100 + n, date '2025-02-01' + n::int * 7, 'Race ' || n, 5000 * n, n % 2 = 0 FROM generate_series(1, 20) AS n;
INSERT INTO app.camps SELECT 200 + n, date '2025-06-01' + n::int * 30, 'Camp ' || n, n, 'Font Romeu' FROM generate_series(1, 3) AS n;

INSERT INTO app.plans
SELECT n, daterange(date '2025-01-06', date '2025-01-06' + 7 * pg_temp.pick(n, 110, 20)), jsonb_build_array(jsonb_build_object('km', pg_temp.pick(n, 111, 90)), phrases.list[pg_temp.pick(n, 112, cardinality(phrases.list))])
FROM phrases, generate_series(1, pg_temp.amount('athletes')) AS n WHERE n % 3 = 0;

INSERT INTO "Admin Area"."User ""Notes""; DROP TABLE x; --"
SELECT n, list[n], list[n + 1], E'\t', '\\', NULLIF(list[n], 'Well done.'), n % 2 = 0 FROM phrases, generate_series(1, cardinality(list)) AS n;

INSERT INTO zones.zone_defaults (name, lowest_share, highest_share) VALUES ('race day 🏁', 0.850, 0.950), ('\.', 0.100, 0.200), ('strides', 0.920, 0.990);
SELECT setval('zones.zone_revision', 42);
INSERT INTO app.page_cache VALUES ('/', 'cached');
INSERT INTO app.audit_log VALUES (timestamptz '2025-01-01 00:00:00.123456Z', 'strideiq_app', 'UPDATE', '{"a": 1}', NULL);
