import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { newSigningKey, signDocument, type Manifest } from '@strideiq/core';
import {
  createSampleDatabase,
  fingerprint,
  startPostgres,
  waitFor,
  type Major,
  type PostgresCluster,
} from '@strideiq/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AgentHost, during, type HostOptions } from './agent-host.ts';
import { databasesOf, journalOf } from './raw-state.ts';

/** What nobody vouches for, and a superuser lets in by `--trust-source`, has no superuser's rights. */

let cluster: PostgresCluster;
const hosts: AgentHost[] = [];
beforeAll(async () => {
  cluster = await startPostgres({ authentication: 'scram', settings: { log_statement: 'all' } });
  await createSampleDatabase(cluster, 'app', { scaleMb: 1 });
  await cluster.query(
    'app',
    `CREATE ROLE keeper; CREATE ROLE tenant IN ROLE keeper; ALTER TABLE app.athletes OWNER TO strideiq_app;
     ALTER SCHEMA "Admin Area" OWNER TO "Coach ""Role"""; ALTER FUNCTION app.pace OWNER TO keeper; ALTER TABLE app.teams OWNER TO tenant;
     REVOKE ALL ON app.teams FROM tenant; GRANT SELECT ON app.teams TO tenant;
     ALTER DEFAULT PRIVILEGES FOR ROLE keeper GRANT SELECT ON TABLES TO strideiq_readonly;
     ALTER DEFAULT PRIVILEGES FOR ROLE keeper REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
     GRANT SELECT ON LARGE OBJECT 800001 TO strideiq_readonly; ALTER LARGE OBJECT 800001 OWNER TO strideiq_app`,
  );
}, 240_000);
afterAll(async () => {
  await cluster?.stop();
});
afterEach(async () => {
  for (const host of hosts.splice(0)) host.remove();
  for (const name of await databasesOf(cluster)) {
    if (/^(restored|evil|plain)/.test(name)) await cluster.dropDatabase(name);
  }
  const left = await leftOf(cluster);
  if (left.length > 0) throw new Error(`a restore left ${left.join(', ')}`);
});

function hostOf(options: Partial<HostOptions> = {}): AgentHost {
  const host = new AgentHost({ cluster, database: 'app', ...options });
  hosts.push(host);
  return host;
}

/** Roles and databases of restores. */
async function leftOf(server: PostgresCluster): Promise<string[]> {
  const rows = await server.query<{ name: string }>(
    'postgres',
    "SELECT rolname AS name FROM pg_roles WHERE rolname ~ '^strideiq_(untrusted|restore)_' UNION ALL SELECT datname FROM pg_database WHERE datname ~ '^strideiq_'",
  );
  return rows.map(({ name }) => name);
}

/** An old script's dump of these statements, with pg_dump's first and last lines. */
function putDump(host: AgentHost, sql: string): string {
  const file = join(host.directory, 'old.sql');
  writeFileSync(
    file,
    `--\n-- PostgreSQL database dump\n--\n\n${sql}\n--\n-- PostgreSQL database dump complete\n--\n\n`,
  );
  return file;
}

const restoring = (file: string) => ['restore', file, '--into', 'restored', '--trust-source', '--database', 'app'];

async function schemaWithRights(database: string, on = cluster): Promise<string> {
  const { stdout } = await on.runClient('pg_dump', ['-s', '-d', database]);
  return stdout.replaceAll(/^\\(un)?restrict .*$/gm, '');
}

/** Everything in a database that belongs to somebody, and to whom. */
async function ownersIn(database: string, on = cluster): Promise<object[]> {
  return on.query(
    database,
    `SELECT (pg_identify_object(d.classid, d.objid, 0)).identity AS object, pg_get_userbyid(d.refobjid)::text AS owner
       FROM pg_shdepend d WHERE d.deptype = 'o' AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1, 2`,
  );
}

describe('the SQL of a dump', () => {
  const witness = () => join(cluster.directory, 'witness');
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
    const host = hostOf();
    const { code, stderr } = await host.run(...restoring(putDump(host, `${sql()}\n`)));
    expect([code, stderr]).toEqual([1, expect.stringMatching(refusal)]);
    expect(stderr).toMatch(/by a role without superuser rights|must be|permission denied/);
    expect(existsSync(witness())).toBe(false);
    expect(await databasesOf(cluster)).not.toContain('restored');
    expect(await databasesOf(cluster)).toContain('app');
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
    const mask = join(cluster.directory, 'mask.sql');
    writeFileSync(mask, 'UPDATE public.t SET n = n + 1;');
    const host = hostOf({ hooks: { afterRestoreSql: mask } });
    const { code, stderr } = await host.run(...restoring(putDump(host, sql)));
    expect([code, stderr]).toEqual([0, expect.stringMatching(/by a role without superuser rights.*Let no superuser/)]);
    expect(existsSync(witness())).toBe(false);
    expect(await cluster.query('restored', 'SELECT n FROM t ORDER BY 1')).toEqual([{ n: 2 }, { n: 3 }]);
    const [owner] = await cluster.query('restored', "SELECT tableowner AS owner FROM pg_tables WHERE tablename = 't'");
    expect(owner).toEqual({ owner: 'postgres' });
  });
});

it('is refused where a hook behind dump.exec would choose its own user, before anything is made', async () => {
  const host = hostOf({ dump: { exec: ['env'] }, hooks: { afterRestore: [['true']] } });
  const { code, stderr } = await host.run(...restoring(putDump(host, 'SELECT 1;\n')));
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(/hooks\.afterRestore, behind dump\.exec, .*afterRestoreSql/),
  ]);
  expect(await cluster.query('postgres', "SELECT FROM pg_database WHERE datname = 'restored'")).toEqual([]);
});

describe("an old script's dump, with owners", () => {
  it('is restored whole, and everything belongs to whom it did', async () => {
    const host = hostOf();
    const { stdout } = await cluster.runClient('pg_dump', ['-d', 'app']);
    const file = join(host.directory, 'old.sql.gz');
    writeFileSync(file, gzipSync(stdout));
    const { notes } = await host.json<{ notes: string[] }>(...restoring(file));
    const hidden = expect.stringMatching(/^The restoring role may not see all rows of app\.coach_messages /);
    const closed = expect.stringMatching(/acts as a superuser \(SECURITY DEFINER\).*until somebody has read them/);
    expect(notes).toEqual([expect.stringMatching(/by a role without superuser rights/), hidden, closed]);
    const open = "SELECT has_database_privilege('public', 'restored', 'CONNECT') AS open";
    expect(await cluster.query('postgres', open)).toEqual([{ open: false }]);
    expect(await fingerprint(cluster, 'restored')).toEqual(await fingerprint(cluster, 'app'));
    expect(await schemaWithRights('restored')).toBe(await schemaWithRights('app'));
    expect(await ownersIn('restored')).toEqual(await ownersIn('app'));
    const [own] = await cluster.query(
      'postgres',
      "SELECT pg_get_userbyid(datdba)::text AS owner FROM pg_database WHERE datname = 'restored'",
    );
    expect(own).toEqual({ owner: 'postgres' });
  });

  it.each<Major>([14, 16, 18])('is restored so on PostgreSQL %i too', async (major) => {
    const target = await startPostgres({ major });
    try {
      await target.query(
        'postgres',
        `CREATE ROLE keeper; CREATE ROLE tenant IN ROLE keeper; CREATE ROLE strideiq_app; CREATE ROLE strideiq_readonly; CREATE ROLE "Coach ""Role"""`,
      );
      const host = new AgentHost({ cluster: target, database: 'app', url: target.url('app') });
      hosts.push(host);
      const { stdout } = await cluster.runClient('pg_dump', ['-d', 'app']);
      await host.json(...restoring(putDump(host, stdout)));
      expect(await fingerprint(target, 'restored')).toEqual(await fingerprint(cluster, 'app'));
      expect(await ownersIn('restored', target)).toEqual(await ownersIn('app'));
      expect(await leftOf(target)).toEqual([]);
      const schema = "SELECT nspowner::regrole::text AS owner FROM pg_namespace WHERE nspname = 'public'";
      expect(await target.query('restored', schema)).toEqual(await target.query('template1', schema));
    } finally {
      await target.stop();
    }
  });

  it('with extensions that only a superuser can make is restored, extensions and all', async () => {
    await cluster.createDatabase('plain');
    await cluster.query(
      'plain',
      `CREATE SCHEMA "Their Own"; CREATE EXTENSION pg_stat_statements SCHEMA "Their Own"; CREATE EXTENSION file_fdw;
       CREATE VIEW busy AS SELECT calls FROM "Their Own".pg_stat_statements; ALTER SCHEMA "Their Own" OWNER TO keeper`,
    );
    const host = hostOf();
    const { stdout } = await cluster.runClient('pg_dump', ['-d', 'plain']);
    const { notes } = await host.json<{ notes: string[] }>(...restoring(putDump(host, stdout)));
    expect(notes).toContain(
      'The extension pg_stat_statements, which is not marked trusted, was made by the restoring role itself.',
    );
    expect(await schemaWithRights('restored')).toBe(await schemaWithRights('plain'));
    expect(await ownersIn('restored')).toEqual(await ownersIn('plain'));
  });

  it('with rows in a table of such an extension is refused, and restored where there are none', async () => {
    const [share] = await cluster.query<{ path: string }>(
      'postgres',
      "SELECT setting AS path FROM pg_config WHERE name = 'SHAREDIR'",
    );
    // In the place of the real one, which keeps rows so.
    const extension = join(share?.path ?? '', 'extension/postgis');
    writeFileSync(`${extension}.control`, "default_version = '1.0'\n");
    const script =
      "CREATE TABLE spatial_ref_sys (n int); SELECT pg_catalog.pg_extension_config_dump('spatial_ref_sys', '');\n";
    writeFileSync(`${extension}--1.0.sql`, script);
    await cluster.createDatabase('plain');
    await cluster.query('plain', 'CREATE EXTENSION postgis');
    const host = hostOf();
    const empty = await cluster.runClient('pg_dump', ['-d', 'plain']);
    expect(empty.stdout).toContain('COPY public.spatial_ref_sys ');
    await host.json(...restoring(putDump(host, empty.stdout)));
    await cluster.dropDatabase('restored');
    await cluster.query('plain', 'INSERT INTO spatial_ref_sys VALUES (1)');
    const filled = await cluster.runClient('pg_dump', ['-d', 'plain']);
    const { code, stderr } = await host.run(...restoring(putDump(host, filled.stdout)));
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/COPY public\.spatial_ref_sys.*permission denied for table spatial_ref_sys/),
    ]);
  });

  it('whose owners are not here is the restoring role’s, and says so', async () => {
    const host = hostOf();
    const sql = `CREATE TABLE public.t (n int);\nALTER TABLE public.t OWNER TO nobody_here;\nGRANT SELECT ON TABLE public.t TO nobody_else;\n`;
    const { notes } = await host.json<{ notes: string[] }>(...restoring(putDump(host, sql)));
    expect(notes).toContainEqual(
      expect.stringMatching(/^2 statements that set owners, grants or settings were left out/),
    );
    expect(await cluster.query('restored', "SELECT tableowner AS owner FROM pg_tables WHERE tablename = 't'")).toEqual([
      { owner: 'postgres' },
    ]);
  });
});

describe('the backup of another host', () => {
  it('is restored with owners, grants and settings, and drilled, by a role of its own', async () => {
    await cluster.createDatabase('plain');
    await cluster.query(
      'plain',
      `CREATE TABLE t AS SELECT n FROM generate_series(1, 20) AS n; ALTER TABLE t OWNER TO keeper; GRANT SELECT ON t TO strideiq_readonly;
       CREATE VIEW v AS SELECT * FROM t; ALTER VIEW v OWNER TO tenant; ALTER DATABASE plain SET search_path = public, app;
       REVOKE CONNECT ON DATABASE plain FROM PUBLIC; GRANT CONNECT ON DATABASE plain TO strideiq_readonly; ALTER DATABASE plain OWNER TO keeper;
       ALTER DEFAULT PRIVILEGES FOR ROLE tenant IN SCHEMA public GRANT INSERT ON TABLES TO keeper; SELECT lo_create(4711);
       ALTER LARGE OBJECT 4711 OWNER TO tenant`,
    );
    const other = hostOf({ database: 'plain' });
    const { name } = await other.json<{ name: string }>('backup');
    const host = hostOf({
      database: 'plain',
      drill: {
        assertions: [
          { name: 'who', sql: 'SELECT NOT rolsuper FROM pg_roles WHERE rolname = session_user' },
          { name: 'rows', sql: 'SELECT count(*) = 20 FROM t' },
        ],
      },
    });
    const refused = await host.run('restore', other.path(name), '--into', 'restored');
    expect([refused.code, refused.stderr]).toEqual([
      1,
      expect.stringMatching(/--trust-source: its SQL then runs by a role/),
    ]);
    const { notes } = await host.json<{ notes: string[] }>(
      'restore',
      other.path(name),
      '--into',
      'restored',
      '--trust-source',
    );
    expect(notes).toEqual([expect.stringMatching(/signed by another key.*by a role without superuser rights/)]);
    expect(await schemaWithRights('restored')).toBe(await schemaWithRights('plain'));
    expect(await ownersIn('restored')).toEqual(await ownersIn('plain'));
    const about = `SELECT pg_get_userbyid(datdba)::text AS owner, (SELECT array_agg(one::text ORDER BY one::text) FROM unnest(datacl) AS one) AS acl, (SELECT setconfig FROM pg_db_role_setting WHERE setdatabase = d.oid) AS set FROM pg_database d WHERE datname = $1`;
    expect(await cluster.query('postgres', about, ['restored'])).toEqual(
      await cluster.query('postgres', about, ['plain']),
    );
    const drilled = await host.json<{ dropped: boolean; sampledRows: number }>(
      'drill',
      '--backup',
      other.path(name),
      '--trust-source',
    );
    expect(drilled).toMatchObject({ dropped: true, sampledRows: 20 });
  });

  it('whose owners and grants hold other statements runs none of them as a superuser', async () => {
    await cluster.createDatabase('evil');
    await cluster.query('evil', 'CREATE TABLE t (n int)');
    const other = hostOf({ database: 'evil' });
    const { name } = await other.json<{ name: string }>('backup');
    const witness = join(cluster.directory, 'witness');
    const sidecar = gzipSync(
      `-- Roles\n\n-- End of roles\n\nSET client_encoding = 'UTF8';\nDO $$ BEGIN EXECUTE 'COPY (SELECT 1) TO PROGRAM ''touch ${witness}'''; END $$;\nCREATE ROLE intruder SUPERUSER;\nALTER DATABASE evil SET session_preload_libraries = 'evil';\n`,
    );
    const stem = other.path(name.replace('.sql.gz', ''));
    const manifest = JSON.parse(readFileSync(`${stem}.manifest.json`, 'utf8')) as Manifest;
    const sha256 = createHash('sha256').update(sidecar).digest('hex');
    const forged = { ...manifest, privileges: { ...manifest.privileges, bytes: sidecar.length, sha256 } } as Manifest;
    writeFileSync(`${stem}.privileges.sql.gz`, sidecar);
    writeFileSync(`${stem}.manifest.json`, JSON.stringify(signDocument(forged, newSigningKey())));
    const host = hostOf({ database: 'evil' });
    const { notes } = await host.json<{ notes: string[] }>(
      'restore',
      `${stem}.sql.gz`,
      '--into',
      'restored',
      '--trust-source',
    );
    expect(notes.filter((note) => note.startsWith('Left out of owners and grants'))).toHaveLength(3);
    expect(existsSync(witness)).toBe(false);
    expect(await cluster.query('postgres', "SELECT FROM pg_roles WHERE rolname = 'intruder'")).toEqual([]);
    expect(await cluster.query('postgres', 'SELECT FROM pg_db_role_setting')).toEqual([]);
  });
});

it('wherever its rows go: a new database, a drill, beside live tables, in their place, in the place of the database', async () => {
  const witness = join(cluster.directory, 'witness');
  await cluster.createDatabase('plain');
  await cluster.query(
    'plain',
    `CREATE FUNCTION evil() RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN
       BEGIN COPY (SELECT 1) TO PROGRAM 'touch ${witness}'; EXCEPTION WHEN insufficient_privilege THEN NULL; END; RETURN true; END $f$;
     CREATE TABLE t (n int PRIMARY KEY CHECK (evil())); ALTER TABLE t OWNER TO keeper; INSERT INTO t SELECT generate_series(1, 9)`,
  );
  expect(existsSync(witness)).toBe(true);
  const other = hostOf({ database: 'plain' });
  const { name } = await other.json<{ name: string }>('backup');
  // The live one's own is nobody's to be careful of.
  await cluster.query('plain', 'ALTER TABLE t DROP CONSTRAINT t_check; DELETE FROM t WHERE n > 5');
  const host = hostOf({ database: 'plain' });
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
    expect([way, existsSync(witness), await leftOf(cluster)]).toEqual([way, false, []]);
  }
  expect(await cluster.query('plain', 'SELECT count(*)::int AS rows FROM t')).toEqual([{ rows: 9 }]);
  const [owner] = await cluster.query('plain', "SELECT tableowner AS owner FROM pg_tables WHERE tablename = 't'");
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
  const host = hostOf();
  await host.json('backup');
  const agent = host.start(...restoring(putDump(host, slow)));
  await during(agent, 'the load', async () => {
    const sql = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND usename LIKE 'strideiq_untrusted_%'";
    return (await cluster.query('postgres', sql)).length > 0;
  });
  expect((await leftOf(cluster)).length).toBe(4);
  agent.process.kill(end);
  const { code } = await agent.result;
  expect(code).toBe(end === 'SIGINT' ? 130 : undefined);
  if (end === 'SIGKILL') await host.json('backup');
  await waitFor('nothing of it', async () => (await leftOf(cluster)).length === 0);
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
    const host = new AgentHost({ cluster: guarded, database: 'app' });
    hosts.push(host);
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
  await cluster.query('postgres', "CREATE ROLE dba LOGIN CREATEDB PASSWORD 'dba'; GRANT postgres TO dba");
  const host = hostOf({
    connection: { user: 'dba', passwordFile: undefined, passwordEnv: 'DBA' },
    env: { DBA: 'dba' },
  });
  const { code, stderr } = await host.run(...restoring(putDump(host, 'CREATE TABLE public.t (n int);\n')));
  expect([code, stderr]).toEqual([1, expect.stringMatching(/dba can get superuser rights without being a superuser/)]);
});

it('the role’s password is said nowhere: not in output, journal, process list or the server’s log', async () => {
  const found = join(cluster.directory, 'found');
  const tell = `printf %s "$PGPASSWORD" > ${found}; ps -eo args > ${found}.processes; echo hook ran`;
  const host = hostOf({ hooks: { afterRestore: ['sh', '-c', tell] } });
  const { code, stdout, stderr } = await host.run(
    ...restoring(putDump(host, 'CREATE TABLE public.t (n int);\n')),
    '--json',
  );
  expect([code, stderr]).toEqual([0, expect.stringContaining('by a role without superuser rights')]);
  const password = readFileSync(found, 'utf8');
  expect(password).toMatch(/^[\w-]{43}$/);
  expect(password).not.toBe(cluster.password);
  const log = await cluster.logText();
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
