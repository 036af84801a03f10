import { describe, expect, it } from 'vitest';
import { setsPrivileges } from './privilege-statements.ts';

describe('setsPrivileges', () => {
  it.each([
    'ALTER TABLE public.runner OWNER TO app;',
    '\nALTER TABLE "a; b"."c OWNER TO d;" OWNER TO "e; ""f""";\n',
    'ALTER FUNCTION odd."$$; x"(text, "y;z") OWNER TO postgres;',
    'ALTER TABLE "line\nbreak".t OWNER TO app;',
    'GRANT SELECT(id) ON TABLE public.runner TO "a; b" WITH GRANT OPTION;',
    'REVOKE ALL ON SCHEMA public FROM PUBLIC;',
    'ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA public GRANT SELECT ON TABLES TO reader;',
    'SET SESSION AUTHORIZATION lead;',
    'RESET SESSION AUTHORIZATION;',
    "ALTER DATABASE app SET work_mem TO '64MB';",
    'ALTER ROLE "a b" IN DATABASE app SET statement_timeout TO 0;',
    "COMMENT ON DATABASE app IS 'x';",
  ])('is true of %j', (sql) => {
    expect(setsPrivileges(Buffer.from(sql))).toBe(true);
  });

  it.each([
    'CREATE TABLE public."OWNER TO x;" (id integer);',
    "ALTER TABLE public.t ADD CONSTRAINT c CHECK (a <> ' OWNER TO x;');",
    "ALTER TABLE public.t ALTER COLUMN a SET DEFAULT ' OWNER TO x';",
    'CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ GRANT SELECT ON t TO x; $$;',
    "COMMENT ON TABLE public.t IS 'GRANT';",
    "SET search_path = 'SESSION AUTHORIZATION';",
    'ALTER TABLE ONLY public.t ENABLE ROW LEVEL SECURITY;',
  ])('is false of %j', (sql) => {
    expect(setsPrivileges(Buffer.from(sql))).toBe(false);
  });
});
