import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startPostgres, waitFor } from '@strideiq/testkit';
import { describe, expect, it } from 'vitest';
import { during } from './agent-host.ts';
import { databasesOf, journalOf } from './raw-state.ts';
import { leftOf, putDump, restoring, TrustStage } from './trust-stage.ts';

/** What nobody vouches for, and a superuser lets in by `--trust-source`, has no superuser's rights. */

const stage = new TrustStage();

describe('the SQL of a dump', () => {
  const witness = () => join(stage.cluster.directory, 'witness');
  const program = () => `COPY (SELECT 1) TO PROGRAM 'touch ${witness()}'`;
  const built = (before = '') =>
    `DO $$ BEGIN ${before} EXECUTE 'CO' || 'PY (SELECT 1) TO PRO' || 'GRAM ''touch ${witness()}'''; END $$;`;

  /** Before and from 17 on. */
  const refusedProgram = /pg_execute_server_program/;

  it.each<[string, () => string, RegExp]>([
    ['a program, by words that a block puts together', () => built(), refusedProgram],
    ['a program', () => `${program()};`, refusedProgram],
    ['RESET ROLE first', () => built('RESET ROLE;'), refusedProgram],
    ['RESET SESSION AUTHORIZATION first', () => built('RESET SESSION AUTHORIZATION;'), refusedProgram],
    [
      'set_config of the role',
      () => built("PERFORM set_config('role', 'postgres', false);"),
      /permission denied to set role/,
    ],
    [
      'SET SESSION AUTHORIZATION',
      () => built('SET SESSION AUTHORIZATION postgres;'),
      /permission denied to set session authorization/,
    ],
    [
      'itself a superuser',
      () => built("EXECUTE 'ALTER ROLE ' || quote_ident(current_user) || ' SUPERUSER';"),
      /must be superuser/,
    ],
    [
      'a new superuser',
      () => built("EXECUTE 'CREATE ROLE intruder SUPERUSER';"),
      /must be superuser|permission denied to create role/,
    ],
    [
      'the password of a role that it names as an owner',
      () =>
        `CREATE TABLE public.t (n int);\nALTER TABLE public.t OWNER TO strideiq_app;\n${built("SET ROLE strideiq_app; EXECUTE 'ALTER ROLE strideiq_app PASSWORD ''known''';")}`,
      /permission denied to set role/,
    ],
    [
      'the live database’s name',
      () => built("EXECUTE 'ALTER DATABASE app RENAME TO gone';"),
      /must be owner of database app/,
    ],
    [
      'a function in C',
      () => "CREATE FUNCTION public.f() RETURNS int LANGUAGE c AS 'libc', 'system';",
      /permission denied for language c/,
    ],
    [
      'an event trigger',
      () =>
        'CREATE FUNCTION public.f() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;\nCREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION public.f();',
      /permission denied to create event trigger/,
    ],
    [
      'an extension that is not marked trusted, once something is there that its script could find',
      () =>
        'CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;\nCREATE EXTENSION file_fdw WITH SCHEMA public;',
      /permission denied to create extension/,
    ],
    [
      'other databases, by an extension that connects',
      () => 'CREATE EXTENSION dblink WITH SCHEMA public;',
      /permission denied to create extension/,
    ],
    [
      'a file, by an extension that is for superusers',
      () => 'CREATE EXTENSION file_fdw WITH SCHEMA public;\nCREATE SERVER s FOREIGN DATA WRAPPER file_fdw;',
      /permission denied for foreign-data wrapper file_fdw/,
    ],
  ])('cannot reach %s', async (_, sql, refusal) => {
    const host = stage.hostOf();
    const { code, stderr } = await host.run(...restoring(putDump(host, `${sql()}\n`)));
    expect([code, stderr]).toEqual([1, expect.stringMatching(refusal)]);
    expect(stderr).toMatch(/by a role without superuser rights|must be|permission denied/);
    expect(existsSync(witness())).toBe(false);
    expect(await databasesOf(stage.cluster)).not.toContain('restored');
    expect(await databasesOf(stage.cluster)).toContain('app');
  });

  it('runs nothing as a superuser later on either, while rows are counted and analyzed and hooks are run', async () => {
    const evil = `BEGIN ${program()}; EXCEPTION WHEN insufficient_privilege THEN NULL; END;`;
    const sql = `
CREATE FUNCTION public.v() RETURNS void LANGUAGE plpgsql AS $$ BEGIN ${evil} END $$;
CREATE FUNCTION public.f(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM public.v(); RETURN n; END $$;
CREATE FUNCTION public.g() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.v(); RETURN NEW; END $$;
CREATE TABLE public.t (n int);
ALTER FUNCTION public.f(int) OWNER TO postgres;
ALTER TABLE public.t OWNER TO postgres;
COPY public.t (n) FROM stdin;
1
2
\\.
CREATE INDEX i ON public.t (public.f(n));
CREATE TRIGGER g BEFORE UPDATE ON public.t FOR EACH ROW EXECUTE FUNCTION public.g();
CREATE MATERIALIZED VIEW public.m AS SELECT public.f(n) FROM public.t;
ALTER MATERIALIZED VIEW public.m OWNER TO postgres;
`;
    const mask = join(stage.cluster.directory, 'mask.sql');
    writeFileSync(mask, 'UPDATE public.t SET n = n + 1;');
    const host = stage.hostOf({ hooks: { afterRestoreSql: mask } });
    const { code, stderr } = await host.run(...restoring(putDump(host, sql)));
    expect([code, stderr]).toEqual([0, expect.stringMatching(/by a role without superuser rights.*Let no superuser/)]);
    expect(existsSync(witness())).toBe(false);
    expect(await stage.cluster.query('restored', 'SELECT n FROM t ORDER BY 1')).toEqual([{ n: 2 }, { n: 3 }]);
    const [owner] = await stage.cluster.query(
      'restored',
      "SELECT tableowner AS owner FROM pg_tables WHERE tablename = 't'",
    );
    expect(owner).toEqual({ owner: 'postgres' });
  });
});

it('is refused where a hook behind dump.exec would choose its own user, before anything is made', async () => {
  const host = stage.hostOf({ dump: { exec: ['env'] }, hooks: { afterRestore: [['true']] } });
  const { code, stderr } = await host.run(...restoring(putDump(host, 'SELECT 1;\n')));
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(/hooks\.afterRestore, behind dump\.exec, .*afterRestoreSql/),
  ]);
  expect(await stage.cluster.query('postgres', "SELECT FROM pg_database WHERE datname = 'restored'")).toEqual([]);
});

it('wherever its rows go: a new database, a drill, beside live tables, in their place, in the place of the database', async () => {
  const witness = join(stage.cluster.directory, 'witness');
  await stage.cluster.createDatabase('plain');
  await stage.cluster.query(
    'plain',
    `CREATE FUNCTION evil() RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN
       BEGIN COPY (SELECT 1) TO PROGRAM 'touch ${witness}'; EXCEPTION WHEN insufficient_privilege THEN NULL; END; RETURN true; END $f$;
     CREATE TABLE t (n int PRIMARY KEY CHECK (evil())); ALTER TABLE t OWNER TO keeper; INSERT INTO t SELECT generate_series(1, 9)`,
  );
  expect(existsSync(witness)).toBe(true);
  const other = stage.hostOf({ database: 'plain' });
  const { name } = await other.json<{ name: string }>('backup');
  // The live one's own is nobody's to be careful of.
  await stage.cluster.query('plain', 'ALTER TABLE t DROP CONSTRAINT t_check; DELETE FROM t WHERE n > 5');
  const host = stage.hostOf({ database: 'plain' });
  const file = other.path(name);
  const ways: [string, ...string[]][] = [
    ['restore', file, '--into', 'restored'],
    ['drill', '--backup', file],
    ['restore', file, '--table', 'public.t', '--into-schema', 'then'],
    ['restore', file, '--table', 'public.t', '--replace-rows', '--yes', '--no-safety-backup'],
    ['restore', file, '--in-place', '--yes', '--no-safety-backup'],
  ];
  for (const way of ways) {
    rmSync(witness, { force: true });
    await host.json(...way, '--trust-source');
    expect([way, existsSync(witness), await leftOf(stage.cluster)]).toEqual([way, false, []]);
  }
  expect(await stage.cluster.query('plain', 'SELECT count(*)::int AS rows FROM t')).toEqual([{ rows: 9 }]);
  const [owner] = await stage.cluster.query('plain', "SELECT tableowner AS owner FROM pg_tables WHERE tablename = 't'");
  expect(owner).toEqual({ owner: 'keeper' });
});

/** A function that waits where `please_wait` is. */
const slow = `CREATE FUNCTION public.waits() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_catalog.pg_sleep(3600); RETURN true; END $$;
CREATE TABLE public.t (n int CHECK (public.waits()));
ALTER TABLE public.t OWNER TO keeper;
COPY public.t (n) FROM stdin;
1
\\.
`;

it.each(['SIGKILL', 'SIGINT'] as const)('ended by %s in the middle it leaves no role and no database', async (end) => {
  const host = stage.hostOf();
  await host.json('backup');
  const agent = host.start(...restoring(putDump(host, slow)));
  await during(agent, 'the load', async () => {
    const sql = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND usename LIKE 'strideiq_untrusted_%'";
    return (await stage.cluster.query('postgres', sql)).length > 0;
  });
  expect((await leftOf(stage.cluster)).length).toBe(4);
  agent.process.kill(end);
  const { code } = await agent.result;
  expect(code).toBe(end === 'SIGINT' ? 130 : undefined);
  if (end === 'SIGKILL') await host.json('backup');
  await waitFor('nothing of it', async () => (await leftOf(stage.cluster)).length === 0);
  const state = end === 'SIGINT' ? 'cancelled' : 'failed';
  expect(journalOf(host).find(({ kind }) => kind === 'restore')).toMatchObject({ state });
});

it('a server that does not let the role in has nothing of the dump run', async () => {
  const guarded = await startPostgres();
  try {
    await guarded.createDatabase('app');
    writeFileSync(
      join(guarded.directory, 'data/pg_hba.conf'),
      'host all postgres all trust\nhost all all all reject\n',
    );
    await guarded.query('postgres', 'SELECT pg_reload_conf()');
    const host = stage.hostOf({ cluster: guarded });
    const file = putDump(host, 'CREATE TABLE public.t (n int);\n');
    const { code, stderr } = await host.run(...restoring(file));
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(
        /made for this restore, strideiq_untrusted_\w+, and the server does not let that one in: .*pg_hba.*Nothing of the dump was run.*pg_hba\.conf/s,
      ),
    ]);
    expect(await databasesOf(guarded)).not.toContain('restored');
    expect(await leftOf(guarded)).toEqual([]);
  } finally {
    await guarded.stop();
  }
});

it('a role that can become a superuser without being one is refused', async () => {
  await stage.cluster.query('postgres', "CREATE ROLE dba LOGIN CREATEDB PASSWORD 'dba'; GRANT postgres TO dba");
  const host = stage.hostOf({
    connection: { user: 'dba', passwordFile: undefined, passwordEnv: 'DBA' },
    env: { DBA: 'dba' },
  });
  const { code, stderr } = await host.run(...restoring(putDump(host, 'CREATE TABLE public.t (n int);\n')));
  expect([code, stderr]).toEqual([1, expect.stringMatching(/dba can get superuser rights without being a superuser/)]);
});

it('the role’s password is said nowhere: not in output, journal, process list or the server’s log', async () => {
  const found = join(stage.cluster.directory, 'found');
  const tell = `printf %s "$PGPASSWORD" > ${found}; ps -eo args > ${found}.processes; echo hook ran`;
  const host = stage.hostOf({ hooks: { afterRestore: ['sh', '-c', tell] } });
  const { code, stdout, stderr } = await host.run(
    ...restoring(putDump(host, 'CREATE TABLE public.t (n int);\n')),
    '--json',
  );
  expect([code, stderr]).toEqual([0, expect.stringContaining('by a role without superuser rights')]);
  const password = readFileSync(found, 'utf8');
  expect(password).toMatch(/^[\w-]{43}$/);
  expect(password).not.toBe(stage.cluster.password);
  const log = await stage.cluster.logText();
  const texts = { stdout, stderr, log, processes: readFileSync(`${found}.processes`, 'latin1') };
  expect(texts.processes).toContain('--trust-source');
  const files = readdirSync(host.stateDirectory, { recursive: true, withFileTypes: true }).filter((each) =>
    each.isFile(),
  );
  const journal = files.map((each) => readFileSync(join(each.parentPath, each.name), 'latin1')).join('');
  expect(journal).toContain('strideiq_untrusted_');
  for (const [where, text] of Object.entries({ ...texts, journal })) {
    expect([where, text.includes(password), text.includes(Buffer.from(password).toString('base64'))]).toEqual([
      where,
      false,
      false,
    ]);
  }
  const kept = [...log.matchAll(/CREATE ROLE "strideiq_untrusted_\w+" LOGIN .* PASSWORD '([^']*)'/g)].map(
    ([, it]) => it,
  );
  expect(kept.length).toBeGreaterThan(0);
  for (const verifier of kept) expect(verifier).toMatch(/^SCRAM-SHA-256\$4096:[\w+/=]+\$[\w+/=]{44}:[\w+/=]{44}$/);
});
