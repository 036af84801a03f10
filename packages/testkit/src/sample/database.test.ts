import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fingerprint } from '../comparison/fingerprint.ts';
import { schemaText } from '../comparison/schema-text.ts';
import type { PostgresCluster } from '../postgres/cluster.ts';
import { startPostgres } from '../postgres/start.ts';
import { createSampleDatabase } from './database.ts';

describe('createSampleDatabase', () => {
  let cluster: PostgresCluster;
  let dump: string;
  beforeAll(async () => {
    cluster = await startPostgres();
    await createSampleDatabase(cluster, 'sample', { scaleMb: 4, seed: 7 });
    dump = (await cluster.runClient('pg_dump', ['-d', 'sample'])).stdout;
  });
  afterAll(async () => {
    await cluster.stop();
  });

  it('gives the same rows for the same seed and scale, others for another seed', async () => {
    const first = await fingerprint(cluster, 'sample');
    await createSampleDatabase(cluster, 'again', { scaleMb: 4, seed: 7 });
    expect(await fingerprint(cluster, 'again')).toEqual(first);
    expect(await schemaText(cluster, 'again')).toBe(await schemaText(cluster, 'sample'));
    await createSampleDatabase(cluster, 'other', { scaleMb: 4, seed: 8 });
    const other = await fingerprint(cluster, 'other');
    const large = [
      'athletes',
      'activities',
      'splits',
      'activity_streams',
      'coach_messages',
      'fit_files',
      'check_ins_2024_1',
    ];
    for (const name of large) expect(other.tables[`app.${name}`]).not.toEqual(first.tables[`app.${name}`]);
    expect(other.largeObjects).not.toEqual(first.largeObjects);
    for (const name of ['again', 'other']) await cluster.dropDatabase(name);
  });

  it('is about as large as asked, and half of it are streams', async () => {
    const megabytes = Buffer.byteLength(dump) / 1e6;
    expect(megabytes).toBeGreaterThan(3);
    expect(megabytes).toBeLessThan(6);
    const from = dump.indexOf('COPY app.activity_streams ');
    const share = Buffer.byteLength(dump.slice(from, dump.indexOf('\n\\.\n', from))) / 1e6 / megabytes;
    expect(share).toBeGreaterThan(0.4);
    expect(share).toBeLessThan(0.6);
  });

  /** What a first real customer's database would hold: something of each must be there. */
  it.each([
    ['float arrays of two dimensions', 'SELECT 1 FROM app.activity_streams WHERE array_ndims(track) = 2'],
    ['jsonb', "SELECT 1 FROM app.activity_streams WHERE extra -> 'laps' IS NOT NULL"],
    ['rows in every partition', 'SELECT 1 FROM app.check_ins GROUP BY tableoid OFFSET 4'],
    ['rows in the default partition', 'SELECT 1 FROM ONLY app.check_ins_default'],
    ['bytea', 'SELECT 1 FROM app.fit_files WHERE length(content) > 10000'],
    ['large objects, one of them empty', "SELECT 1 FROM app.voice_notes WHERE lo_get(recording) = ''"],
    ['a commented large object', "SELECT 1 FROM pg_description WHERE classoid = 'pg_largeobject'::regclass"],
    ['generated columns', "SELECT 1 FROM pg_attribute WHERE attgenerated = 's' OFFSET 2"],
    [
      'identity columns of both kinds',
      "SELECT 1 FROM pg_attribute WHERE attidentity IN ('a', 'd') GROUP BY attidentity OFFSET 1",
    ],
    ['dropped columns', "SELECT 1 FROM pg_attribute WHERE attisdropped AND attrelid = 'app.athletes'::regclass"],
    ['dollar-quoted functions', "SELECT 1 FROM pg_proc WHERE proname = 'note_change' AND prosrc LIKE '%$$%'"],
    ['BEGIN ATOMIC functions', 'SELECT 1 FROM pg_proc WHERE prosqlbody IS NOT NULL OFFSET 2'],
    ['views', "SELECT 1 FROM pg_views WHERE schemaname = 'app' OFFSET 2"],
    ['a filled and an empty materialised view', 'SELECT 1 FROM pg_matviews GROUP BY ispopulated OFFSET 1'],
    ['triggers', 'SELECT 1 FROM pg_trigger WHERE NOT tgisinternal OFFSET 2'],
    ['row security that names a role', "SELECT 1 FROM pg_policies WHERE 'strideiq_app' = ANY (roles)"],
    ['inheritance', "SELECT 1 FROM pg_inherits WHERE inhparent = 'app.events'::regclass OFFSET 1"],
    ['an enum', "SELECT 1 FROM pg_enum WHERE enumlabel = 'it''s complicated'"],
    ['a domain', "SELECT 1 FROM pg_type WHERE typtype = 'd' AND typname = 'email'"],
    [
      'rows of a user in a configuration table of an extension',
      'SELECT 1 FROM zones.zone_defaults WHERE NOT builtin OFFSET 2',
    ],
    [
      'mutual foreign keys',
      "SELECT 1 FROM pg_constraint WHERE contype = 'f' AND conrelid = 'app.coaches'::regclass AND confrelid = 'app.athletes'::regclass",
    ],
    ['indexes of many kinds', 'SELECT 1 FROM pg_class AS c JOIN pg_am AS a ON a.oid = relam GROUP BY amname OFFSET 5'],
    ['partial and expression indexes', 'SELECT 1 FROM pg_index WHERE indpred IS NOT NULL AND indexprs IS NOT NULL'],
    [
      'names that need quoting',
      `SELECT 1 FROM "Admin Area"."User ""Notes""; DROP TABLE x; --" WHERE "back\\slash" = '\\\\'`,
    ],
    ['backslash and dot alone', "SELECT 1 FROM app.activities WHERE title = '\\.'"],
    ['newlines', "SELECT 1 FROM app.coach_messages WHERE body LIKE E'%\\n%'"],
    ['the last code point', `SELECT 1 FROM app.activities WHERE title LIKE U&'%\\+10FFFF%'`],
    [
      'NULLs beside empty strings',
      "SELECT 1 FROM app.check_ins GROUP BY remark HAVING remark IS NULL OR remark = '' OFFSET 1",
    ],
    [
      'grants to both roles',
      "SELECT 1 FROM information_schema.role_table_grants WHERE grantee LIKE 'strideiq%' GROUP BY grantee OFFSET 1",
    ],
    ['a sequence that has moved', 'SELECT 1 FROM app.activity_number WHERE last_value > 1000'],
  ])('holds %s', async (_, sql) => {
    expect((await cluster.query('sample', sql)).length).toBeGreaterThan(0);
  });

  it('survives a plain pg_dump and psql', async () => {
    await cluster.createDatabase('restored', { template: 'template0' });
    await cluster.psql('restored', { sql: dump });
    expect(await schemaText(cluster, 'restored')).toBe(await schemaText(cluster, 'sample'));
    expect(await fingerprint(cluster, 'restored')).toEqual(await fingerprint(cluster, 'sample'));
    await cluster.dropDatabase('restored');
  });

  it.each([14, 18] as const)('is the same on PostgreSQL %i', async (major) => {
    const other = await startPostgres({ major });
    try {
      await createSampleDatabase(other, 'sample', { scaleMb: 4, seed: 7 });
      expect(await fingerprint(other, 'sample')).toEqual(await fingerprint(cluster, 'sample'));
    } finally {
      await other.stop();
    }
  });
});
