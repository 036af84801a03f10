-- Keys and indexes, as a real app has them.
ALTER TABLE app.coaches ADD PRIMARY KEY (id);
ALTER TABLE app.athletes ADD PRIMARY KEY (id), ADD CONSTRAINT "athletes external id" UNIQUE (external_id);
ALTER TABLE app.activities ADD PRIMARY KEY (id);
ALTER TABLE app.splits ADD PRIMARY KEY (activity_id, number);
ALTER TABLE app.activity_streams ADD PRIMARY KEY (activity_id);
ALTER TABLE app.check_ins ADD PRIMARY KEY (id, day);
ALTER TABLE app.coach_messages ADD PRIMARY KEY (id);
ALTER TABLE app.fit_files ADD PRIMARY KEY (id);
ALTER TABLE app.voice_notes ADD PRIMARY KEY (id);
ALTER TABLE app.events ADD PRIMARY KEY (id);
ALTER TABLE app.races ADD PRIMARY KEY (id);
ALTER TABLE app.plans ADD CONSTRAINT one_plan_at_a_time EXCLUDE USING gist (int8range(athlete_id, athlete_id, '[]') WITH =, valid WITH &&);
ALTER TABLE "Admin Area"."User ""Notes""; DROP TABLE x; --" ADD CONSTRAINT "key; of "" this" PRIMARY KEY ("select");

CREATE INDEX activities_newest ON app.activities (athlete_id, started_at DESC) INCLUDE (distance_m);
CREATE INDEX activities_summary ON app.activities USING gin (summary jsonb_path_ops);
CREATE INDEX activities_during ON app.activities USING gist (during);
CREATE INDEX activities_flagged ON app.activities (id) WHERE flagged;
CREATE INDEX activities_title ON app.activities (lower(title) text_pattern_ops) WHERE title IS NOT NULL;
CREATE INDEX activities_started ON app.activities USING brin (started_at) WITH (pages_per_range = 32);
CREATE INDEX athletes_words ON app.athletes USING gin (name_words);
CREATE INDEX athletes_tags ON app.athletes USING gin (tags);
CREATE INDEX athletes_email ON app.athletes USING hash (email);
CREATE INDEX splits_place ON app.splits USING gist (place) WHERE number = 1;
CREATE INDEX check_ins_athlete ON app.check_ins (athlete_id, day);
CREATE INDEX coach_messages_body ON app.coach_messages USING gin (body gin_trgm_ops);
CREATE INDEX "Index, quoted" ON "Admin Area"."User ""Notes""; DROP TABLE x; --" ("Mixed Case", ("with ""quotes""" || 'x;'));
CREATE UNIQUE INDEX fit_files_activity ON app.fit_files (activity_id);
ALTER TABLE app.fit_files CLUSTER ON fit_files_activity;
ALTER TABLE app.athletes REPLICA IDENTITY USING INDEX "athletes external id";
CREATE STATISTICS app.activities_related (dependencies, ndistinct) ON athlete_id, sport FROM app.activities;
ALTER TABLE app.activities ALTER athlete_id SET STATISTICS 500;

-- Coaches and athletes refer to one another.
ALTER TABLE app.athletes ADD FOREIGN KEY (coach_id) REFERENCES app.coaches ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED,
    ADD FOREIGN KEY (team_id) REFERENCES app.teams;
ALTER TABLE app.coaches ADD FOREIGN KEY (favourite_athlete_id) REFERENCES app.athletes DEFERRABLE;
ALTER TABLE app.activities ADD FOREIGN KEY (athlete_id) REFERENCES app.athletes ON DELETE CASCADE;
ALTER TABLE app.splits ADD FOREIGN KEY (activity_id) REFERENCES app.activities ON DELETE CASCADE;
ALTER TABLE app.activity_streams ADD FOREIGN KEY (activity_id) REFERENCES app.activities ON DELETE CASCADE;
ALTER TABLE app.check_ins ADD FOREIGN KEY (athlete_id) REFERENCES app.athletes;
ALTER TABLE app.coach_messages ADD FOREIGN KEY (athlete_id) REFERENCES app.athletes, ADD FOREIGN KEY (coach_id) REFERENCES app.coaches,
    ADD FOREIGN KEY (reply_to) REFERENCES app.coach_messages;
ALTER TABLE app.fit_files ADD FOREIGN KEY (activity_id) REFERENCES app.activities;
ALTER TABLE app.voice_notes ADD FOREIGN KEY (athlete_id) REFERENCES app.athletes NOT VALID;

CREATE FUNCTION app.pace(distance_m double precision, duration_s integer) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    BEGIN ATOMIC
        SELECT CASE
            WHEN distance_m <= 0 THEN 'n/a; "no distance"'
            ELSE CASE duration_s WHEN 0 THEN '0:00' ELSE to_char(make_interval(secs => duration_s / (distance_m / 1000)), 'MI:SS') END
        END;
    END;

CREATE FUNCTION app.longest(athlete bigint, how_many integer DEFAULT 5) RETURNS SETOF app.activities
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT * FROM app.activities WHERE athlete_id = athlete ORDER BY distance_m DESC, id LIMIT how_many;
    END;

CREATE FUNCTION app.note_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = app, pg_temp
    AS $function$
BEGIN
    -- A dump must not take this for its own: COPY app.athletes (id) FROM stdin;
    INSERT INTO audit_log VALUES (now(), current_user, TG_OP || ';' || $text$ it's $$quoted$$ $text$,
        CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END, CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END);
    RETURN NULL;
END;
$function$;

CREATE PROCEDURE app.forget_athlete(athlete bigint)
    LANGUAGE plpgsql
    AS $$
BEGIN
    EXECUTE format($q$DELETE FROM app.%I WHERE athlete_id = $1$q$, 'coach_messages') USING athlete;
    /* nested /* comment; */ stays open until here */
    DELETE FROM app.athletes WHERE id = athlete;
END
$$;

CREATE FUNCTION app.sum_of_squares(total double precision, next double precision) RETURNS double precision
    LANGUAGE sql IMMUTABLE STRICT RETURN total + next * next;
CREATE AGGREGATE app.energy (double precision) (sfunc = app.sum_of_squares, stype = double precision, initcond = '0');

CREATE VIEW app.athlete_overview WITH (security_barrier) AS
    SELECT a.id, a.name, c.name AS coach, count(v.id) AS activities, sum(v.distance_m) AS distance_m
    FROM app.athletes AS a LEFT JOIN app.coaches AS c ON c.id = a.coach_id LEFT JOIN app.activities AS v ON v.athlete_id = a.id
    GROUP BY a.id, c.name;
CREATE VIEW app.long_runs AS SELECT *, app.pace(distance_m, duration_s) AS pace FROM app.activities WHERE distance_m > 25000 WITH LOCAL CHECK OPTION;
CREATE VIEW app.weekly AS
    SELECT athlete_id, date_trunc('week', started_at AT TIME ZONE 'UTC') AS week, app.energy(distance_m) AS energy, zones.zone_of(150, 190) AS zone
    FROM app.activities GROUP BY 1, 2;
CREATE MATERIALIZED VIEW app.personal_bests AS
    SELECT athlete_id, sport, max(distance_m) AS furthest_m, min(pace_s_per_km) AS fastest_s_per_km
    FROM app.activities GROUP BY athlete_id, sport;
CREATE UNIQUE INDEX personal_bests_key ON app.personal_bests (athlete_id, sport);
CREATE MATERIALIZED VIEW app.not_yet AS SELECT * FROM app.personal_bests WITH NO DATA;

CREATE TRIGGER athletes_noted AFTER INSERT OR UPDATE OR DELETE ON app.athletes FOR EACH ROW EXECUTE FUNCTION app.note_change();
CREATE TRIGGER "when; heavy" AFTER UPDATE OF weight_kg ON app.athletes FOR EACH ROW WHEN (NEW.weight_kg > 100) EXECUTE FUNCTION app.note_change();
CREATE CONSTRAINT TRIGGER activities_noted AFTER DELETE ON app.activities DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION app.note_change();
ALTER TABLE app.athletes DISABLE TRIGGER "when; heavy";
CREATE RULE nothing_stays_empty AS ON DELETE TO app.nothing_yet DO INSTEAD NOTHING;

ALTER TABLE app.athletes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON app.athletes TO strideiq_app USING (id = current_setting('app.athlete', true)::bigint) WITH CHECK (true);
CREATE POLICY "coaches read" ON app.athletes AS PERMISSIVE FOR SELECT TO "Coach ""Role""" USING (coach_id IS NOT NULL);
ALTER TABLE app.coach_messages ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.coach_messages FORCE ROW LEVEL SECURITY;
CREATE POLICY participants ON app.coach_messages TO strideiq_app USING (athlete_id = current_setting('app.athlete', true)::bigint);

CREATE PUBLICATION app_changes FOR TABLE app.activities, app.splits;

GRANT USAGE ON SCHEMA app TO strideiq_app, strideiq_readonly;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA app TO strideiq_app;
GRANT SELECT ON ALL TABLES IN SCHEMA app TO strideiq_readonly;
GRANT SELECT (id, name), UPDATE (name) ON app.athletes TO "Coach ""Role""" WITH GRANT OPTION;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA app TO strideiq_app;
REVOKE EXECUTE ON PROCEDURE app.forget_athlete FROM PUBLIC;
GRANT EXECUTE ON PROCEDURE app.forget_athlete TO strideiq_app;
GRANT SELECT ON zones.zone_defaults TO strideiq_readonly;
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO strideiq_readonly;

COMMENT ON INDEX app.activities_newest IS 'The first page of everything';
COMMENT ON FUNCTION app.pace IS 'Minutes and seconds per kilometre; \. $$ ''';
COMMENT ON TRIGGER "when; heavy" ON app.athletes IS 'off';
COMMENT ON LARGE OBJECT 800001 IS 'First voice note';
COMMENT ON COLUMN app.personal_bests.furthest_m IS 'metres';
