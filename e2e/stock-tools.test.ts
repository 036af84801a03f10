import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  createOddDatabase,
  createSampleDatabase,
  fingerprint,
  run,
  schemaText,
  startPostgres,
  type PostgresCluster,
} from '@strideiq/testkit';
import { AgentHost } from './agent-host.ts';
import { dumpHash, restoreByStockTools } from './dump-text.ts';
import { Recovery, realErrors } from './recover-commands.ts';

/** With owners and grants, without what differs from run to run. */
async function textWithOwners(cluster: PostgresCluster, database: string, ...more: string[]): Promise<string> {
  const { stdout } = await cluster.runClient('pg_dump', ['-s', ...more, '-d', database]);
  return stdout.replaceAll(/^\\(un)?restrict .*\n/gm, '');
}

/**
 * Another owner than the one who restores, for one of each kind: else nobody would see a lost owner. And rights on large
 * objects, which have none of their own in `pg_dump -s`.
 */
const ownedByAnother = `
  CREATE ROLE "owner; of """ NOLOGIN;
  DO $$
  DECLARE each record;
  BEGIN
    FOR each IN
      SELECT format('ALTER %s %s OWNER TO %I', CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
                    c.oid::regclass, 'owner; of "') AS sql
        FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
       WHERE relkind IN ('r', 'p', 'v', 'm', 'S') AND nspname !~ '^pg_' AND nspname <> 'information_schema' AND relpersistence <> 't'
         AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i', 'e'))
      UNION ALL
      SELECT format('ALTER SCHEMA %I OWNER TO %I', nspname, 'owner; of "') FROM pg_namespace
       WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public')
      UNION ALL
      SELECT format('ALTER ROUTINE %s OWNER TO %I', p.oid::regprocedure, 'owner; of "') FROM pg_proc p
       WHERE p.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype IN ('i', 'e'))
      UNION ALL
      SELECT format('ALTER TYPE %s OWNER TO %I', t.oid::regtype, 'owner; of "') FROM pg_type t WHERE typtype IN ('e', 'd') AND t.oid >= 16384
      UNION ALL
      SELECT format('GRANT SELECT ON LARGE OBJECT %s TO PUBLIC; ALTER LARGE OBJECT %1$s OWNER TO %I', m.oid, 'owner; of "') FROM pg_largeobject_metadata m
    LOOP
      EXECUTE each.sql;
    END LOOP;
    EXECUTE format('ALTER DATABASE %I OWNER TO %I', current_database(), 'owner; of "');
  END
  $$;`;

/** Large objects are no part of `pg_dump -s`. */
async function largeObjectRights(cluster: PostgresCluster, database: string): Promise<unknown> {
  return cluster.query(
    database,
    'SELECT oid::int, lomowner::regrole::text AS owner, lomacl::text[] AS acl FROM pg_largeobject_metadata ORDER BY oid',
  );
}

let source: PostgresCluster;
let target: PostgresCluster;
beforeAll(async () => {
  [source, target] = await Promise.all([startPostgres(), startPostgres()]);
  await createSampleDatabase(source, 'running_app', { scaleMb: 2 });
  await createOddDatabase(source, 'odd');
  await source.query('odd', ownedByAnother);
});
afterAll(async () => {
  await Promise.all([source.stop(), target.stop()]);
});

describe.each(['running_app', 'odd'])('the backup of %s', (database) => {
  let host: AgentHost;
  let recovery: Recovery;
  let name: string;
  beforeAll(async () => {
    host = new AgentHost({ cluster: source, database });
    const backup = await host.json<{ name: string }>('backup');
    name = backup.name.replace('.sql.gz', '');
    recovery = new Recovery(host, name, target);
  });
  afterAll(() => {
    host.remove();
  });

  it('restores by RECOVER.txt alone, on a server that holds nothing', async () => {
    await recovery.step(1);
    const whole = await recovery.step(2);
    const [sum] = /^[0-9a-f]{64}/m.exec(whole.stdout) ?? [];
    expect(whole.stdout).toContain('whole');
    expect(whole.stdout).toContain(`"sha256":"${sum}"`);
    expect(realErrors((await recovery.step(3)).stderr)).toEqual([]);
    expect(realErrors((await recovery.step(4)).stderr)).toEqual([]);
    const restored = `${database}_restored`;

    const plain = `${database}_plain`;
    await target.createDatabase(plain, { template: 'template0' });
    const dump = await source.runClient('pg_dump', ['--no-owner', '--no-acl', '-d', database]);
    await target.psql(plain, { sql: dump.stdout });
    expect(await schemaText(target, restored)).toBe(await schemaText(target, plain));
    const rows = await fingerprint(target, restored);
    expect(rows).toEqual(await fingerprint(target, plain));
    expect(rows).toEqual(await fingerprint(source, database));
  });

  it('gives owners and grants back by step 5, and the settings of the database by step 6', async () => {
    const restored = `${database}_restored`;
    // Some expressions print differently after one round trip: that of pg_dump and psql is what ours is compared with.
    const plain = await source.runClient('pg_dump', ['-C', '-d', database]);
    await target.psql('postgres', { sql: plain.stdout });
    const [owners, settings] = [await textWithOwners(target, database), await textWithOwners(target, database, '-C')];
    const rights = await largeObjectRights(target, database);
    await target.dropDatabase(database);

    await recovery.step(5);
    expect(await textWithOwners(target, restored)).toBe(owners);
    expect(await largeObjectRights(target, restored)).toEqual(rights);
    await target.createDatabase(database);
    await recovery.step(6);
    expect(await target.query('postgres', `SELECT FROM pg_database WHERE datname = '${database}_old'`)).toHaveLength(1);
    expect(await textWithOwners(target, database, '-C')).toBe(settings);
  });

  it('restores by the agent to the same', async () => {
    const into = `${database}_by_agent`;
    await host.json('restore', 'latest', '--into', into);
    expect(await schemaText(source, into)).toBe(await schemaText(target, `${database}_plain`));
    expect(await fingerprint(source, into)).toEqual(await fingerprint(source, database));
    await source.dropDatabase(into);
  });

  it('is one gzip file to every tool', async () => {
    const { stdout } = await run('sh', [
      '-c',
      `gzip -dc "$0" | tail -n 12; zcat "$0" | wc -c`,
      host.path(`${name}.sql.gz`),
    ]);
    expect(stdout).toContain('PostgreSQL database dump complete');
  });
});

describe.each([
  { encoding: 'LATIN1', bytes: String.raw`caf\xe9 \xe4\xdf` },
  { encoding: 'SQL_ASCII', bytes: String.raw`caf\xe9 \xff\xfe\xc3\xa9` },
])('a database in $encoding', ({ encoding, bytes }) => {
  it('comes back byte for byte, names and rows, by stock tools and by the agent', async () => {
    const database = `in_${encoding}`.toLowerCase();
    await source.createDatabase(database, { template: 'template0', encoding, locale: 'C' });
    await source.query(
      database,
      `DO $$ BEGIN
         EXECUTE format('CREATE TABLE %I (%I text, at int); CREATE SEQUENCE %I', E'${bytes}', E'${bytes} "\\\\', E's${bytes}');
         EXECUTE format('INSERT INTO %I SELECT %L || n, n FROM generate_series(1, 500) AS n', E'${bytes}', E'${bytes}');
         EXECUTE format('COMMENT ON TABLE %I IS %L', E'${bytes}', E'${bytes}');
       END $$`,
    );
    const host = new AgentHost({ cluster: source, database });
    try {
      const { name, rows } = await host.json<{ name: string; rows: number }>('backup', '--verify');
      expect(rows).toBe(500);
      await host.json('restore', 'latest', '--into', `${database}_agent`);
      await restoreByStockTools(source, host.path(name), `${database}_stock`, { encoding, locale: 'C' });
      const expected = await dumpHash(source, database);
      expect(await dumpHash(source, `${database}_agent`)).toBe(expected);
      expect(await dumpHash(source, `${database}_stock`)).toBe(expected);
    } finally {
      host.remove();
    }
  });
});
