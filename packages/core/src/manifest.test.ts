import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { databaseIdOf, newId } from './ids.ts';
import { checkManifest, parseManifest, type Manifest } from './manifest.ts';
import { isSignedBy, newSigningKey, signDocument } from './signature.ts';

const sha256 = 'ab'.repeat(32);
const id = newId(1_768_100_400_000);

/** Three chunks: the schema, the rows of two tables of which one goes on in the next, and what is left. */
const manifest: Manifest = {
  formatVersion: 1,
  backupId: id,
  runId: id,
  environment: 'production',
  database: 'running_app',
  databaseId: databaseIdOf('production', 'running_app'),
  storeIds: [id],
  agent: { version: '0.1.0', hostname: 'db1' },
  source: {
    database: 'running_app',
    serverVersion: '15.20',
    serverVersionNumber: 150_020,
    pgDumpVersion: '15.20',
    encoding: 'UTF8',
    collate: 'C.UTF-8',
    ctype: 'C.UTF-8',
    localeProvider: 'c',
    icuLocale: null,
    standby: false,
    databaseBytes: 1000,
    indexBytes: 100,
  },
  snapshot: { takenAt: '2026-01-11T03:00:00.000Z', walPosition: '0/16B3748' },
  startedAt: '2026-01-11T03:00:00.000Z',
  finishedAt: '2026-01-11T03:01:00.000Z',
  dumpOptions: { compressionLevel: 4, jobs: 2, excludeTables: [], excludeTableData: [] },
  object: { name: 'running_app_20260111_030000.sql.gz', bytes: 60, rawBytes: 600, sha256 },
  privileges: null,
  chunks: [
    { section: 'pre-data', offset: 0, length: 10, rawLength: 100, sha256 },
    {
      section: 'data',
      offset: 10,
      length: 20,
      rawLength: 200,
      sha256,
      rows: [
        { table: 0, rows: 3 },
        { table: 1, rows: 4 },
      ],
    },
    { section: 'data', offset: 30, length: 30, rawLength: 300, sha256, rows: [{ table: 1, rows: 5 }] },
  ],
  tables: [
    { schema: 'public', name: 'athletes', rows: 3 },
    { schema: 'public', name: 'activities', rows: 9 },
  ],
  sequences: [{ schema: 'public', name: 'athletes_id_seq', lastValue: '9223372036854775807' }],
  extensions: [],
  roles: [],
  inventory: [],
  passwordsIn: [],
  encryption: null,
};

const read = (value: unknown): ReturnType<typeof parseManifest> =>
  parseManifest(JSON.stringify(value), 'a.manifest.json');

/** A copy with the value at `path` replaced; `undefined` takes the key away. */
function withAt(path: string, value: unknown): unknown {
  const copy = structuredClone(manifest) as unknown as Record<string, unknown>;
  const steps = path.split('.');
  const last = steps.pop() ?? '';
  const holder = steps.reduce((at, step) => at[step] as Record<string, unknown>, copy);
  holder[last] = value;
  return copy;
}

describe('parseManifest', () => {
  it('reads what was written', () => {
    expect(read(manifest)).toEqual({ manifest, json: manifest });
  });

  it('passes over keys of a newer agent, and keeps them for the signature', () => {
    const key = newSigningKey();
    const signed = signDocument({ ...manifest, zebra: 1, agent: { ...manifest.agent, region: 'eu' } }, key);
    const { manifest: parsed, json } = read(signed);
    expect(parsed).not.toHaveProperty('zebra');
    expect(isSignedBy(json, key.publicPem)).toBe(true);
    expect(isSignedBy(parsed, key.publicPem)).toBe(false);
  });

  it('holds the chunks once, as they were read', () => {
    const chunk = { ...manifest.chunks[0], zebra: 1 };
    const { manifest: parsed, json } = read({ ...manifest, chunks: [chunk, ...manifest.chunks.slice(1)] });
    expect(parsed.chunks).toBe((json as Manifest).chunks);
    expect(parsed.chunks[0]).toEqual(chunk);
  });

  it('is checked as an object too', () => {
    expect(checkManifest(manifest, 'a.manifest.json')).toEqual(manifest);
    expect(() => checkManifest(withAt('tables.1.rows', 8), 'a.manifest.json')).toThrow('contradicts itself');
    expect(() => checkManifest(withAt('chunks.1.rows.0.rows', 0.5), 'a.manifest.json')).toThrow(
      /chunks\.1\.rows\.0\.rows/,
    );
  });

  it.each([
    ['nothing', ''],
    ['a cut text', JSON.stringify(manifest).slice(0, -1)],
    ['a page of HTML', '<html>'],
  ])('refuses %s as no JSON, naming the object', (_, text) => {
    expect(() => parseManifest(text, 'a.manifest.json')).toThrow(/^a\.manifest\.json is not JSON/);
    expect(() => parseManifest(text, 'a.manifest.json')).toThrow(expect.objectContaining({ code: 'ManifestInvalid' }));
  });

  it.each([
    ['null', null, /is no manifest/],
    ['a list', [], /is no manifest/],
    ['an empty one', {}, /is no manifest: formatVersion/],
    ['a newer format', { ...manifest, formatVersion: 2 }, /format version 2; this program reads version 1/],
    ['an id that is none', withAt('backupId', 'x'), /backupId: not a UUID in lower case/],
    ['no databaseId', withAt('databaseId', undefined), /databaseId/],
    ['a checksum in capitals', withAt('object.sha256', 'AB'.repeat(32)), /object\.sha256/],
    ['negative rows', withAt('tables.0.rows', -1), /tables\.0\.rows/],
    ['half a byte', withAt('object.bytes', 0.5), /object\.bytes/],
    ['more bytes than a number can hold', withAt('object.bytes', 2 ** 53), /object\.bytes/],
    ['a moment without its zone', withAt('startedAt', '2026-01-11T03:00:00'), /startedAt/],
    ['no chunks', withAt('chunks', undefined), /chunks: not a list/],
    ['chunks by name', withAt('chunks', { 0: manifest.chunks[0] }), /chunks: not a list/],
    ['a chunk that is none', withAt('chunks.1', null), /chunks\.1: /],
    ['a table without a name', withAt('tables.1.name', undefined), /tables\.1\.name/],
    ['an object of no kind', withAt('inventory', [{ identity: 'a' }]), /inventory\.0\.kind/],
    ['an unknown section', withAt('chunks.0.section', 'preface'), /chunks\.0\.section/],
    ['a sequence past 2^53 as a number', withAt('sequences.0.lastValue', 1), /sequences\.0\.lastValue/],
    [
      'a signature of another kind',
      withAt('signature', { algorithm: 'RSA', keyId: '', value: '' }),
      /signature\.algorithm/,
    ],
  ])('refuses %s, naming the place', (_, value, said) => {
    expect(() => read(value)).toThrow(said);
    expect(() => read(value)).toThrow(expect.objectContaining({ code: 'ManifestInvalid' }));
  });

  it.each([
    ['a gap between chunks', withAt('chunks.1.offset', 11), 'chunk 1 begins at 11 where the one before ends at 10'],
    ['chunks over one another', withAt('chunks.2.offset', 29), 'chunk 2 begins at 29'],
    ['a first chunk that begins late', withAt('chunks.0.offset', 1), 'chunk 0 begins at 1'],
    ['bytes after the last chunk', withAt('object.bytes', 61), 'chunks end at 60 of 61 bytes'],
    ['SQL that no chunk holds', withAt('object.rawBytes', 601), 'chunks hold 600 of 601 bytes of SQL'],
    ['rows of a table that is not there', withAt('chunks.2.rows.0.table', 2), 'chunk 2 names table 2 of 2'],
    ['rows that do not add up', withAt('tables.1.rows', 8), 'rows of public.activities do not add up to 8'],
    ['no chunks for bytes', withAt('chunks', []), 'chunks end at 0 of 60 bytes'],
  ])('refuses %s as a contradiction', (_, value, said) => {
    expect(() => read(value)).toThrow(said);
    expect(() => read(value)).toThrow('a.manifest.json contradicts itself');
  });

  it('holds whatever adds up, and nothing that is off by one anywhere', () => {
    const lengths = fc.array(fc.record({ length: fc.nat(99), rawLength: fc.nat(999), rows: fc.nat(50) }), {
      minLength: 1,
      maxLength: 9,
    });
    fc.assert(
      fc.property(lengths, fc.constantFrom('offset', 'length', 'rawLength', 'rows'), fc.nat(), (parts, what, pick) => {
        const chunks = parts.map((part, at) => ({
          section: 'data' as const,
          sha256,
          offset: parts.slice(0, at).reduce((sum, { length }) => sum + length, 0),
          length: part.length,
          rawLength: part.rawLength,
          rows: [{ table: 0, rows: part.rows }],
        }));
        const sum = (key: 'length' | 'rawLength' | 'rows'): number =>
          parts.reduce((total, part) => total + part[key], 0);
        const whole = {
          ...manifest,
          chunks,
          tables: [{ schema: 's', name: 't', rows: sum('rows') }],
          object: { ...manifest.object, bytes: sum('length'), rawBytes: sum('rawLength') },
        };
        expect(read(whole).manifest.chunks).toEqual(chunks);
        const chunk = chunks[pick % chunks.length];
        if (chunk?.rows[0] === undefined) return;
        if (what === 'rows') chunk.rows[0].rows += 1;
        else chunk[what] += 1;
        expect(() => read(whole)).toThrow('contradicts itself');
      }),
    );
  });
});
