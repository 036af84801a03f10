-- Made-up rows, so that there is something to back up. PostgreSQL runs this once, when its volume is new.
CREATE TABLE athletes (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL
);

CREATE TABLE activities (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    athlete_id integer NOT NULL REFERENCES athletes,
    started_at timestamptz NOT NULL,
    distance_m integer NOT NULL CHECK (distance_m > 0),
    samples jsonb NOT NULL
);

INSERT INTO athletes (name) SELECT 'Athlete ' || n FROM generate_series(1, 500) AS n;

INSERT INTO activities (athlete_id, started_at, distance_m, samples)
SELECT
    1 + n % 500,
    timestamptz '2026-01-01 06:00+00' + n * interval '7 minutes',
    3000 + n * 37 % 18000,
    (SELECT jsonb_agg(120 + (n * second) % 60) FROM generate_series(1, 40) AS second)
FROM generate_series(1, 20000) AS n;

CREATE INDEX ON activities (athlete_id, started_at);
