import { writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createSampleDatabase, startPostgres, type PostgresCluster } from '@strideiq/testkit';
import { AgentHost, type HostOptions } from './agent-host.ts';

let cluster: PostgresCluster;
const hosts: AgentHost[] = [];
beforeAll(async () => {
  cluster = await startPostgres();
});
afterAll(async () => {
  await cluster.stop();
});
afterEach(async () => {
  for (const host of hosts.splice(0)) host.remove();
  for (const name of ['app', 'restored']) await cluster.dropDatabase(name);
});

function hostOf(options: Partial<HostOptions> = {}): AgentHost {
  const host = new AgentHost({ cluster, database: 'app', ...options });
  hosts.push(host);
  return host;
}

/** Schema with owners and grants; without what is drawn at random or names the database. */
async function schemaWithRights(database: string): Promise<string> {
  const { stdout } = await cluster.runClient('pg_dump', ['-s', '-d', database]);
  return stdout.replaceAll(/^\\(un)?restrict .*$/gm, '');
}

async function isSuperuser(role: string): Promise<boolean> {
  const [row] = await cluster.query<{ is: boolean }>(
    'postgres',
    'SELECT rolsuper AS is FROM pg_roles WHERE rolname = $1',
    [role],
  );
  return row?.is === true;
}

/** An old script's dump of these statements, with pg_dump's first and last lines. */
function dumpOf(host: AgentHost, sql: string): string {
  const name = 'app_20250101_030000';
  const text = `--\n-- PostgreSQL database dump\n--\n\n${sql}\n--\n-- PostgreSQL database dump complete\n--\n\n`;
  writeFileSync(host.path(`${name}.sql.gz`), gzipSync(text));
  return name;
}

it('owners, grants, default privileges and the settings of the database are as before', async () => {
  await createSampleDatabase(cluster, 'app', { scaleMb: 1 });
  await cluster.query(
    'app',
    `ALTER TABLE app.athletes OWNER TO strideiq_app; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO strideiq_readonly;
     ALTER DATABASE app SET work_mem = '7MB'; ALTER ROLE strideiq_app IN DATABASE app SET statement_timeout = '9s';
     COMMENT ON DATABASE app IS 'runs; and runs'; GRANT CREATE ON DATABASE app TO strideiq_app`,
  );
  const host = hostOf();
  await host.json('backup');
  await host.json('restore', 'latest', '--into', 'restored');
  expect(await schemaWithRights('restored')).toBe(await schemaWithRights('app'));
  const settings = `SELECT (SELECT array_agg(one::text ORDER BY one::text) FROM unnest(d.datacl) AS one) AS acl, shobj_description(d.oid, 'pg_database') AS comment,
      (SELECT array_agg(s.setrole::regrole || ' ' || s.setconfig::text ORDER BY 1) FROM pg_db_role_setting s WHERE s.setdatabase = d.oid) AS settings
    FROM pg_database d WHERE d.datname = $1`;
  expect(await cluster.query('postgres', settings, ['restored'])).toEqual(
    await cluster.query('postgres', settings, ['app']),
  );
});

it('nobody is let in who was not before', async () => {
  await cluster.createDatabase('app');
  await cluster.query(
    'app',
    `CREATE ROLE guest LOGIN; REVOKE CONNECT, TEMPORARY ON DATABASE app FROM PUBLIC; CREATE TABLE t (n int);
     CREATE FUNCTION become() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'ALTER ROLE guest SUPERUSER';
     REVOKE EXECUTE ON FUNCTION become() FROM PUBLIC`,
  );
  const host = hostOf();
  await host.json('backup');
  await host.json('restore', 'latest', '--into', 'restored');
  const [may] = await cluster.query(
    'restored',
    `SELECT has_database_privilege('guest', 'restored', 'CONNECT') AS connect, has_function_privilege('guest', 'become()', 'EXECUTE') AS become`,
  );
  expect(may).toEqual({ connect: false, become: false });
});

it('a function in a materialised view runs as its owner, not as the one who restores', async () => {
  await cluster.createDatabase('app');
  await cluster.query(
    'app',
    `CREATE ROLE tenant LOGIN; CREATE SCHEMA s AUTHORIZATION tenant; SET ROLE tenant;
     CREATE FUNCTION s.f() RETURNS int LANGUAGE plpgsql AS $f$ BEGIN
       BEGIN ALTER ROLE tenant SUPERUSER; EXCEPTION WHEN insufficient_privilege THEN NULL; END; RETURN 1; END $f$;
     CREATE MATERIALIZED VIEW s.seen AS SELECT s.f() AS one`,
  );
  const host = hostOf();
  await host.json('backup');
  await host.json('restore', 'latest', '--into', 'restored');
  expect(await isSuperuser('tenant')).toBe(false);
  expect(await cluster.query('restored', 'SELECT one FROM s.seen')).toEqual([{ one: 1 }]);
});

it('a role that can become a superuser is asked as one', async () => {
  await cluster.createDatabase('app');
  await cluster.query('postgres', 'CREATE ROLE dba LOGIN CREATEDB; GRANT postgres TO dba');
  const host = hostOf({ connection: { user: 'dba' } });
  const name = dumpOf(host, 'SET ROLE postgres;\nCREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$SELECT 1$$;\n');
  const { code, stderr } = await host.run('restore', name, '--into', 'restored');
  expect([code, stderr]).toEqual([1, expect.stringContaining('--trust-source')]);
});

it('a dump that never commits is no success', async () => {
  await cluster.createDatabase('app');
  const host = hostOf();
  const name = dumpOf(host, 'BEGIN;\nCREATE TABLE public.t (n int);\nCOPY public.t (n) FROM stdin;\n1\n2\n\\.\n');
  const { code, stderr } = await host.run('restore', name, '--into', 'restored', '--trust-source');
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(/public\.t was loaded, and is not in the restored database/),
  ]);
  expect(await cluster.query('postgres', "SELECT datname FROM pg_database WHERE datname ~ 'restore'")).toEqual([]);
});

it('a dump that sends rows out does not crash the agent', async () => {
  await cluster.createDatabase('app');
  const host = hostOf();
  const name = dumpOf(host, 'CREATE TABLE public.t (n int);\nCOPY (SELECT 1) TO STDOUT;\n');
  const { code, stderr } = await host.run('restore', name, '--into', 'restored', '--trust-source');
  expect([code, stderr]).toEqual([0, expect.not.stringContaining('TypeError')]);
});

it('row-level security that is forced on the owner does not stop one who is no superuser', async () => {
  await cluster.createDatabase('app');
  await cluster.query('postgres', 'CREATE ROLE clerk LOGIN CREATEDB');
  await cluster.query(
    'app',
    `CREATE TABLE t AS SELECT n FROM generate_series(1, 7) AS n; ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
     CREATE POLICY few ON t USING (n > 5)`,
  );
  const host = hostOf();
  await host.json('backup');
  const clerk = hostOf({ connection: { user: 'clerk' }, stateDirectory: host.stateDirectory });
  const file = host.path(host.files().find((name) => /^app_.*[0-9]\.sql\.gz$/.test(name)) ?? '');
  const { code, stderr } = await clerk.run('restore', file, '--into', 'restored');
  expect([code, stderr]).toEqual([0, expect.stringContaining('row-level security')]);
  expect(await cluster.query('restored', 'SELECT count(*)::int AS rows FROM t')).toEqual([{ rows: 7 }]);
});
