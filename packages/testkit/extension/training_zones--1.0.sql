-- Rows that came with the extension are `builtin`; those a user adds are configuration, which pg_dump carries along.
CREATE TABLE zone_defaults (
    name text PRIMARY KEY,
    lowest_share numeric(4, 3) NOT NULL CHECK (lowest_share BETWEEN 0 AND 1),
    highest_share numeric(4, 3) NOT NULL,
    builtin boolean NOT NULL DEFAULT false,
    CHECK (lowest_share < highest_share)
);

INSERT INTO zone_defaults VALUES
    ('recovery', 0.500, 0.600, true),
    ('easy', 0.600, 0.700, true),
    ('steady', 0.700, 0.800, true),
    ('threshold', 0.800, 0.900, true),
    ('maximum', 0.900, 1.000, true);

CREATE SEQUENCE zone_revision;

SELECT pg_catalog.pg_extension_config_dump('zone_defaults', 'WHERE NOT builtin');
SELECT pg_catalog.pg_extension_config_dump('zone_revision', '');

CREATE FUNCTION zone_of(heart_rate integer, highest integer) RETURNS text
    LANGUAGE sql STABLE STRICT
    AS $$
        SELECT name FROM @extschema@.zone_defaults
        WHERE heart_rate::numeric / highest BETWEEN lowest_share AND highest_share
        ORDER BY lowest_share DESC, name LIMIT 1
    $$;
