import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { newSigningKey, signDocument, type Manifest } from '@strideiq/core';
import { fingerprint, startPostgres, type Major } from '@strideiq/testkit';
import { describe, expect, it } from 'vitest';
import { leftOf, putDump, restoring, TrustStage } from './trust-stage.ts';

/** What nobody vouches for is restored whole by a role without superuser rights, and belongs to whom it did. */

const stage = new TrustStage();

async function schemaWithRights(database: string, on = stage.cluster): Promise<string> {
  const { stdout } = await on.runClient('pg_dump', ['-s', '-d', database]);
  return stdout.replaceAll(/^\\(un)?restrict .*$/gm, '');
}

/** Everything in a database that belongs to somebody, and to whom. */
async function ownersIn(database: string, on = stage.cluster): Promise<object[]> {
  return on.query(
    database,
    `SELECT (pg_identify_object(d.classid, d.objid, 0)).identity AS object, pg_get_userbyid(d.refobjid)::text AS owner
       FROM pg_shdepend d WHERE d.deptype = 'o' AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1, 2`,
  );
}

describe("an old script's dump, with owners", () => {
  it('is restored whole, and everything belongs to whom it did', async () => {
    const host = stage.hostOf();
    const { stdout } = await stage.cluster.runClient('pg_dump', ['-d', 'app']);
    const file = join(host.directory, 'old.sql.gz');
    writeFileSync(file, gzipSync(stdout));
    const { notes } = await host.json<{ notes: string[] }>(...restoring(file));
    const hidden = expect.stringMatching(/^The restoring role may not see all rows of app\.coach_messages /);
    const closed = expect.stringMatching(/acts as a superuser \(SECURITY DEFINER\).*until somebody has read them/);
    expect(notes).toEqual([expect.stringMatching(/by a role without superuser rights/), hidden, closed]);
    const open = "SELECT has_database_privilege('public', 'restored', 'CONNECT') AS open";
    expect(await stage.cluster.query('postgres', open)).toEqual([{ open: false }]);
    expect(await fingerprint(stage.cluster, 'restored')).toEqual(await fingerprint(stage.cluster, 'app'));
    expect(await schemaWithRights('restored')).toBe(await schemaWithRights('app'));
    expect(await ownersIn('restored')).toEqual(await ownersIn('app'));
    const [own] = await stage.cluster.query(
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
      const host = stage.hostOf({ cluster: target, url: target.url('app') });
      const { stdout } = await stage.cluster.runClient('pg_dump', ['-d', 'app']);
      await host.json(...restoring(putDump(host, stdout)));
      expect(await fingerprint(target, 'restored')).toEqual(await fingerprint(stage.cluster, 'app'));
      expect(await ownersIn('restored', target)).toEqual(await ownersIn('app'));
      expect(await leftOf(target)).toEqual([]);
      const schema = "SELECT nspowner::regrole::text AS owner FROM pg_namespace WHERE nspname = 'public'";
      expect(await target.query('restored', schema)).toEqual(await target.query('template1', schema));
    } finally {
      await target.stop();
    }
  });

  it('with extensions that only a superuser can make is restored, extensions and all', async () => {
    await stage.cluster.createDatabase('plain');
    await stage.cluster.query(
      'plain',
      `CREATE SCHEMA "Their Own"; CREATE EXTENSION pg_stat_statements SCHEMA "Their Own"; CREATE EXTENSION file_fdw;
       CREATE VIEW busy AS SELECT calls FROM "Their Own".pg_stat_statements; ALTER SCHEMA "Their Own" OWNER TO keeper`,
    );
    const host = stage.hostOf();
    const { stdout } = await stage.cluster.runClient('pg_dump', ['-d', 'plain']);
    const { notes } = await host.json<{ notes: string[] }>(...restoring(putDump(host, stdout)));
    expect(notes).toContain(
      'The extension pg_stat_statements, which is not marked trusted, was made by the restoring role itself.',
    );
    expect(await schemaWithRights('restored')).toBe(await schemaWithRights('plain'));
    expect(await ownersIn('restored')).toEqual(await ownersIn('plain'));
  });

  it('with rows in a table of such an extension is refused, and restored where there are none', async () => {
    const [share] = await stage.cluster.query<{ path: string }>(
      'postgres',
      "SELECT setting AS path FROM pg_config WHERE name = 'SHAREDIR'",
    );
    // In the place of the real one, which keeps rows so.
    const extension = join(share?.path ?? '', 'extension/postgis');
    writeFileSync(`${extension}.control`, "default_version = '1.0'\n");
    const script =
      "CREATE TABLE spatial_ref_sys (n int); SELECT pg_catalog.pg_extension_config_dump('spatial_ref_sys', '');\n";
    writeFileSync(`${extension}--1.0.sql`, script);
    await stage.cluster.createDatabase('plain');
    await stage.cluster.query('plain', 'CREATE EXTENSION postgis');
    const host = stage.hostOf();
    const empty = await stage.cluster.runClient('pg_dump', ['-d', 'plain']);
    expect(empty.stdout).toContain('COPY public.spatial_ref_sys ');
    await host.json(...restoring(putDump(host, empty.stdout)));
    await stage.cluster.dropDatabase('restored');
    await stage.cluster.query('plain', 'INSERT INTO spatial_ref_sys VALUES (1)');
    const filled = await stage.cluster.runClient('pg_dump', ['-d', 'plain']);
    const { code, stderr } = await host.run(...restoring(putDump(host, filled.stdout)));
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/COPY public\.spatial_ref_sys.*permission denied for table spatial_ref_sys/),
    ]);
  });

  it('whose owners are not here is the restoring role’s, and says so', async () => {
    const host = stage.hostOf();
    const sql = `CREATE TABLE public.t (n int);\nALTER TABLE public.t OWNER TO nobody_here;\nGRANT SELECT ON TABLE public.t TO nobody_else;\n`;
    const { notes } = await host.json<{ notes: string[] }>(...restoring(putDump(host, sql)));
    expect(notes).toContainEqual(
      expect.stringMatching(/^2 statements that set owners, grants or settings were left out/),
    );
    expect(
      await stage.cluster.query('restored', "SELECT tableowner AS owner FROM pg_tables WHERE tablename = 't'"),
    ).toEqual([{ owner: 'postgres' }]);
  });
});

describe('the backup of another host', () => {
  it('is restored with owners, grants and settings, and drilled, by a role of its own', async () => {
    await stage.cluster.createDatabase('plain');
    await stage.cluster.query(
      'plain',
      `CREATE TABLE t AS SELECT n FROM generate_series(1, 20) AS n; ALTER TABLE t OWNER TO keeper; GRANT SELECT ON t TO strideiq_readonly;
       CREATE VIEW v AS SELECT * FROM t; ALTER VIEW v OWNER TO tenant; ALTER DATABASE plain SET search_path = public, app;
       REVOKE CONNECT ON DATABASE plain FROM PUBLIC; GRANT CONNECT ON DATABASE plain TO strideiq_readonly; ALTER DATABASE plain OWNER TO keeper;
       ALTER DEFAULT PRIVILEGES FOR ROLE tenant IN SCHEMA public GRANT INSERT ON TABLES TO keeper; SELECT lo_create(4711);
       ALTER LARGE OBJECT 4711 OWNER TO tenant`,
    );
    const other = stage.hostOf({ database: 'plain' });
    const { name } = await other.json<{ name: string }>('backup');
    const host = stage.hostOf({
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
    expect(await stage.cluster.query('postgres', about, ['restored'])).toEqual(
      await stage.cluster.query('postgres', about, ['plain']),
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
    await stage.cluster.createDatabase('evil');
    await stage.cluster.query('evil', 'CREATE TABLE t (n int)');
    const other = stage.hostOf({ database: 'evil' });
    const { name } = await other.json<{ name: string }>('backup');
    const witness = join(stage.cluster.directory, 'witness');
    const sidecar = gzipSync(
      `-- Roles\n\n-- End of roles\n\nSET client_encoding = 'UTF8';\nDO $$ BEGIN EXECUTE 'COPY (SELECT 1) TO PROGRAM ''touch ${witness}'''; END $$;\nCREATE ROLE intruder SUPERUSER;\nALTER DATABASE evil SET session_preload_libraries = 'evil';\n`,
    );
    const stem = other.path(name.replace('.sql.gz', ''));
    const manifest = JSON.parse(readFileSync(`${stem}.manifest.json`, 'utf8')) as Manifest;
    const sha256 = createHash('sha256').update(sidecar).digest('hex');
    const forged = { ...manifest, privileges: { ...manifest.privileges, bytes: sidecar.length, sha256 } } as Manifest;
    writeFileSync(`${stem}.privileges.sql.gz`, sidecar);
    writeFileSync(`${stem}.manifest.json`, JSON.stringify(signDocument(forged, newSigningKey())));
    const host = stage.hostOf({ database: 'evil' });
    const { notes } = await host.json<{ notes: string[] }>(
      'restore',
      `${stem}.sql.gz`,
      '--into',
      'restored',
      '--trust-source',
    );
    expect(notes.filter((note) => note.startsWith('Left out of owners and grants'))).toHaveLength(3);
    expect(existsSync(witness)).toBe(false);
    expect(await stage.cluster.query('postgres', "SELECT FROM pg_roles WHERE rolname = 'intruder'")).toEqual([]);
    expect(await stage.cluster.query('postgres', 'SELECT FROM pg_db_role_setting')).toEqual([]);
  });
});
