import { startPostgres, type PostgresCluster } from '@strideiq/testkit';
import { chownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { Host } from '../compose.ts';
import { loadConfiguration } from '../configuration/index.ts';
import { examine } from '../doctor/examine.ts';
import { pruneCopies } from '../retention/prune-copies.ts';
import { planCopies } from '../retention/plan-copies.ts';
import { resolveReference } from '../backups/resolve-reference.ts';
import { verifyCopy } from '../verify/verify-copy.ts';
import { runBackup } from './run-backup.ts';

/** Globals of a real server, given to an empty one by psql. */

let source: PostgresCluster;
/** Of the tablespaces; the servers' own. */
let places: string;
let directory: string;

function makePlace(name: string): string {
  const { uid, gid } = statSync(source.directory);
  const path = join(places, name);
  mkdirSync(path, { mode: 0o700 });
  chownSync(path, uid, gid);
  return path;
}

beforeAll(async () => {
  source = await startPostgres();
  places = mkdtempSync(join(tmpdir(), 'strideiq-places-'));
  const { uid, gid } = statSync(source.directory);
  chownSync(places, uid, gid);
  const fast = makePlace('fast');
  await source.psql('postgres', {
    sql: `CREATE ROLE app_owner LOGIN PASSWORD 'a secret of its own' CONNECTION LIMIT 7 VALID UNTIL '2030-01-01';
      CREATE ROLE "odd ""role" NOLOGIN;
      GRANT app_owner TO "odd ""role" WITH ADMIN OPTION;
      CREATE ROLE reader LOGIN;
      ALTER ROLE app_owner SET statement_timeout = '5s';
      ALTER ROLE app_owner SET search_path = 'a', 'b';
      COMMENT ON ROLE app_owner IS 'it''s the owner';
      GRANT SET ON PARAMETER log_statement TO app_owner;`,
  });
  await source.query('postgres', `CREATE TABLESPACE fast OWNER app_owner LOCATION '${fast}'`);
  await source.query('postgres', 'GRANT CREATE ON TABLESPACE fast TO "odd ""role"');
  await source.createDatabase('app');
  await source.psql('app', { sql: 'CREATE TABLE t AS SELECT 1 AS one; GRANT SELECT ON t TO reader' });
}, 120_000);
afterAll(async () => {
  await source?.stop();
  rmSync(places, { recursive: true, force: true });
});

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'strideiq-globals-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

async function withHost<T>(more: object, work: (host: Host) => Promise<T>, user = source.user): Promise<T> {
  const file = join(directory, 'agent.yaml');
  const { host, port, clientDir } = source;
  const connection = { host, port, user, database: 'app' };
  const app = {
    connection,
    stores: ['local'],
    dump: { pgDump: clientDir, ...more },
    retention: { local: { count: 1 } },
  };
  const stores = { local: { type: 'directory', path: 'backups' } };
  const stateDir = join(directory, 'state');
  writeFileSync(file, JSON.stringify({ version: 1, environment: 'test', stateDir, stores, databases: { app } }));
  const { signal } = new AbortController();
  const opened = new Host(await loadConfiguration(file, {}), {
    env: process.env,
    now: Date.now,
    signal,
    secrets: new Set(),
  });
  try {
    return await work(opened);
  } finally {
    opened.close();
  }
}

const appOf = (host: Host) =>
  host.configuration.databases['app'] as NonNullable<(typeof host.configuration.databases)['app']>;

async function backUp(host: Host) {
  const { journal, key, surroundings } = host;
  const { now, signal } = surroundings;
  const request = await host.backupRequest(appOf(host));
  const outcome = await runBackup(request, { journal, key, now, progress: () => undefined, signal });
  const { globals } = outcome.manifest;
  const path = join(directory, 'backups', globals?.name ?? '');
  const sql = globals ? gunzipSync(readFileSync(path)).toString() : '';
  return { ...outcome, globals, sql, path };
}

/** What belongs to a whole server, by its own catalogs. */
async function globalsOf(cluster: PostgresCluster) {
  const ask = async (sql: string) => cluster.query('postgres', sql);
  return {
    roles: await ask(
      `SELECT rolname, rolsuper, rolcanlogin, rolconnlimit, rolvaliduntil::text, shobj_description(oid, 'pg_authid')
         FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY 1`,
    ),
    settings: await ask(
      `SELECT setrole::regrole::text, setconfig FROM pg_db_role_setting WHERE setdatabase = 0 ORDER BY 1`,
    ),
    members: await ask(
      `SELECT roleid::regrole::text AS of, member::regrole::text, admin_option FROM pg_auth_members
        WHERE member::regrole::text !~ '^pg_' ORDER BY 1, 2`,
    ),
    tablespaces: await ask(
      `SELECT spcname, spcowner::regrole::text, spcacl::text, pg_tablespace_location(oid) FROM pg_tablespace ORDER BY 1`,
    ),
    parameters: await ask('SELECT parname, paracl::text FROM pg_parameter_acl ORDER BY 1'),
  };
}

async function verified(host: Host, dumpKey: string) {
  const { key, journal, surroundings } = host;
  const stores = await host.storesOf(appOf(host));
  const found = await resolveReference(dumpKey, stores, host.openPlace, Date.now());
  return verifyCopy(found, { key, journal, progress: () => undefined, signal: surroundings.signal });
}

test('hold everything, but no password, and make an empty server like the one they are of', async () => {
  await withHost({}, async (host) => {
    const { globals, sql, warnings } = await backUp(host);
    expect(warnings).toEqual([]);
    expect(globals).toMatchObject({ rolePasswords: false });
    expect(sql).not.toMatch(/PASSWORD '|SCRAM-SHA-256|md5[0-9a-f]{32}/);
    expect(sql).toContain('Holds no passwords');
    // One without the directory of a tablespace tells of that, and has all the rest.
    const target = await startPostgres();
    try {
      const before = await globalsOf(source);
      const give = async () => target.runClient('psql', ['-X', '-q', '-d', 'postgres'], { input: sql });
      const elsewhere = `${places}-away`;
      expect(
        (await target.runClient('psql', ['-X', '-q', '-d', 'postgres'], { input: sql.replaceAll(places, elsewhere) }))
          .stderr,
      ).toContain(elsewhere);
      const { tablespaces, ...rest } = before;
      expect(await globalsOf(target)).toMatchObject(rest);
      // A second server of the same major cannot be in the same directory: as on a machine of its own.
      await source.query('postgres', 'DROP TABLESPACE fast');
      const { stderr } = await give();
      expect(stderr.split('\n').filter((line) => line.includes('ERROR') && !line.includes('already exists'))).toEqual(
        [],
      );
      expect(await globalsOf(target)).toEqual({ ...rest, tablespaces });
      await target.query('postgres', 'DROP TABLESPACE fast');
    } finally {
      await target.stop();
      await source.query('postgres', `CREATE TABLESPACE fast OWNER app_owner LOCATION '${join(places, 'fast')}'`);
    }
  });
}, 120_000);

test('hold password hashes where the file asks for them, and say so', async () => {
  await withHost(
    { rolePasswords: true, exec: ['env', `PATH=${source.clientDir}:${process.env['PATH']}`] },
    async (host) => {
      const { globals, sql, warnings } = await backUp(host);
      expect(warnings).toEqual([]);
      expect(globals).toMatchObject({ rolePasswords: true });
      const [{ hash } = { hash: 'none' }] = await source.query<{ hash: string }>(
        'postgres',
        "SELECT rolpassword AS hash FROM pg_authid WHERE rolname = 'app_owner'",
      );
      expect(sql).toContain(hash);
      expect(sql).toContain('HOLDS THE PASSWORD HASHES');
      const findings = await examine(host, appOf(host));
      expect(findings).toContainEqual(expect.objectContaining({ level: 'warn', subject: 'app: globals' }));
    },
  );
}, 60_000);

test('hold all but the hashes for a role that may not read them, which is told', async () => {
  await withHost(
    { rolePasswords: true },
    async (host) => {
      const { globals, sql, warnings, copies } = await backUp(host);
      expect(copies).toMatchObject([{ state: 'stored' }]);
      expect(warnings).toEqual([expect.stringContaining('Role passwords are not in this backup')]);
      expect(globals).toMatchObject({ rolePasswords: false });
      expect(sql).toContain('CREATE ROLE app_owner');
      const findings = await examine(host, appOf(host));
      expect(findings).toContainEqual(expect.objectContaining({ level: 'fail', subject: 'app: globals' }));
    },
    'reader',
  );
}, 60_000);

test('are read back with their backup, and go with it', async () => {
  await withHost({}, async (host) => {
    const { manifest, path } = await backUp(host);
    expect((await verified(host, manifest.object.name)).problems).toEqual([]);
    const whole = readFileSync(path);
    writeFileSync(path, 'something else');
    expect((await verified(host, manifest.object.name)).problems).toEqual([
      expect.stringContaining('globals.sql.gz is not the file'),
    ]);
    rmSync(path);
    expect((await verified(host, manifest.object.name)).problems).toEqual([
      expect.stringContaining('globals.sql.gz is missing'),
    ]);
    writeFileSync(path, whole);
    const next = await backUp(host);
    await pruneCopies(host, appOf(host), await planCopies(host, appOf(host)));
    const left = readdirSync(join(directory, 'backups')).filter((name) => name.endsWith('.globals.sql.gz'));
    expect(left).toEqual([next.globals?.name]);
  });
}, 60_000);
