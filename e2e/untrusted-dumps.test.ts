import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { newSigningKey, parseManifest, signDocument, type Manifest } from '@strideiq/core';
import { fingerprint, startPostgres, type PostgresCluster } from '@strideiq/testkit';
import { AgentHost } from './agent-host.ts';

/** Enough rows that the dump has several chunks, of which two can be swapped. */
const made = `
  CREATE TABLE runner (id int PRIMARY KEY, name text);
  INSERT INTO runner SELECT n, 'runner ' || md5(n::text) FROM generate_series(1, 2000) AS n;
  CREATE TABLE run (id bigint GENERATED ALWAYS AS IDENTITY, runner int REFERENCES runner, track text);
  ALTER TABLE run ALTER track SET STORAGE EXTERNAL;
  INSERT INTO run (runner, track) SELECT 1 + n % 2000, string_agg(md5(n::text || k), '') FROM generate_series(1, 20000) AS n, generate_series(1, 60) AS k GROUP BY n;`;

let cluster: PostgresCluster;
let host: AgentHost;
/** Of the backup, without ending. */
let stem: string;
beforeAll(async () => {
  cluster = await startPostgres();
  await cluster.createDatabase('app');
  await cluster.query('app', made);
  host = new AgentHost({ cluster, database: 'app' });
  const { name } = await host.json<{ name: string }>('backup');
  stem = name.replace('.sql.gz', '');
});
afterAll(async () => {
  host.remove();
  await cluster.stop();
});

async function databases(): Promise<string[]> {
  const rows = await cluster.query<{ name: string }>(
    'postgres',
    "SELECT datname AS name FROM pg_database WHERE NOT datistemplate AND datname NOT IN ('postgres', 'app') ORDER BY 1",
  );
  return rows.map(({ name }) => name);
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

describe('what somebody did to a backup', () => {
  let dumpFile: string;
  let manifestFile: string;
  let witness: string;
  beforeEach(() => {
    dumpFile = host.path(`${stem}.sql.gz`);
    manifestFile = host.path(`${stem}.manifest.json`);
    witness = join(host.directory, 'witness');
    for (const file of [dumpFile, manifestFile]) writeFileSync(`${file}.kept`, readFileSync(file));
  });
  afterEach(() => {
    for (const file of [dumpFile, manifestFile]) renameSync(`${file}.kept`, file);
    rmSync(witness, { force: true });
  });

  const manifestOf = (): Manifest => parseManifest(readFileSync(manifestFile, 'utf8'), manifestFile).manifest;
  /** What an attacker would leave: a file made anew, since the ones there are links to the newest. */
  const put = (file: string, bytes: Uint8Array | string): void => {
    rmSync(file);
    writeFileSync(file, bytes);
  };
  /** Puts SQL at the end of a backup's last chunk, with a manifest that says so. */
  const forged = (sql: string): Manifest => {
    const manifest = manifestOf();
    const dump = readFileSync(dumpFile);
    const last = manifest.chunks.at(-1);
    if (!last) throw new Error('no chunks');
    const text = gunzipSync(dump.subarray(last.offset));
    const evil = Buffer.concat([Buffer.from(sql), text]);
    const chunk = gzipSync(evil);
    const object = Buffer.concat([dump.subarray(0, last.offset), chunk]);
    put(dumpFile, object);
    const added = evil.length - text.length;
    return {
      ...manifest,
      object: {
        ...manifest.object,
        bytes: object.length,
        rawBytes: manifest.object.rawBytes + added,
        sha256: sha256(object),
      },
      chunks: [
        ...manifest.chunks.slice(0, -1),
        { ...last, length: chunk.length, rawLength: evil.length, sha256: sha256(chunk) },
      ],
    };
  };

  /** What each does; how the restore refuses it. */
  const deeds: [string, () => void, RegExp][] = [
    [
      'a byte in the middle is flipped',
      () => {
        const bytes = Buffer.from(readFileSync(dumpFile));
        const at = Math.floor(bytes.length / 2);
        bytes[at] = (bytes[at] ?? 0) ^ 1;
        put(dumpFile, bytes);
      },
      /SHA-256|checksum/i,
    ],
    [
      'two chunks have changed places',
      () => {
        const bytes = readFileSync(dumpFile);
        const [one, two] = manifestOf().chunks.filter(({ section }) => section === 'data');
        if (!one || !two) throw new Error('the dump has too few chunks');
        const cut = ({ offset, length }: typeof one) => bytes.subarray(offset, offset + length);
        const between = bytes.subarray(one.offset + one.length, two.offset);
        put(
          dumpFile,
          Buffer.concat([
            bytes.subarray(0, one.offset),
            cut(two),
            between,
            cut(one),
            bytes.subarray(two.offset + two.length),
          ]),
        );
      },
      /SHA-256|checksum/i,
    ],
    [
      'statements were added at the end',
      () => put(dumpFile, Buffer.concat([readFileSync(dumpFile), gzipSync('CREATE ROLE intruder SUPERUSER;\n')])),
      /not the file that was made/,
    ],
    [
      'a psql command was added at the end',
      () => put(dumpFile, Buffer.concat([readFileSync(dumpFile), gzipSync(`\\! touch ${witness}\n`)])),
      /not the file that was made/,
    ],
    [
      'the manifest says another number of rows',
      () => put(manifestFile, readFileSync(manifestFile, 'utf8').replace('"rows":2000', '"rows":2001')),
      /do not add up/,
    ],
    [
      'the manifest names another environment',
      () =>
        put(manifestFile, readFileSync(manifestFile, 'utf8').replace('"environment":"test"', '"environment":"prod"')),
      /changed after it was signed/,
    ],
    ['the manifest is cut', () => put(manifestFile, readFileSync(manifestFile).subarray(0, 500)), /is not JSON/],
    [
      'statements were added, in a manifest that is signed by another key',
      () =>
        put(manifestFile, JSON.stringify(signDocument(forged('CREATE ROLE intruder SUPERUSER;\n'), newSigningKey()))),
      /signed by another key/,
    ],
    [
      'statements were added, in a manifest without a signature',
      () => put(manifestFile, JSON.stringify({ ...forged('CREATE ROLE intruder SUPERUSER;\n'), signature: undefined })),
      /not signed/,
    ],
    [
      'a psql command was added, in a manifest that carries the old signature',
      () => put(manifestFile, JSON.stringify(forged(`\\! touch ${witness}\n`))),
      /changed after it was signed/,
    ],
  ];

  it.each(deeds)('is found by verify and refused by restore: %s', async (_, deed, refusal) => {
    deed();
    const verified = await host.run('verify', stem, '--json');
    expect([verified.code, JSON.parse(verified.stdout)]).toMatchObject([1, { copies: [{ state: 'corrupt' }] }]);
    const restored = await host.run('restore', stem, '--into', 'tampered');
    expect(restored.code).toBe(1);
    expect(restored.stderr).toMatch(refusal);
    expect(await databases()).toEqual([]);
    expect(await cluster.query('postgres', "SELECT FROM pg_roles WHERE rolname = 'intruder'")).toEqual([]);
    expect(existsSync(witness)).toBe(false);
  });

  it('runs no psql command even where the source is said to be trusted', async () => {
    put(manifestFile, JSON.stringify(signDocument(forged(`\\! touch ${witness}\n`), newSigningKey())));
    const { code, stderr } = await host.run('restore', stem, '--into', 'tampered', '--trust-source');
    expect([code, stderr]).toEqual([1, expect.stringMatching(/\\!/)]);
    expect(await databases()).toEqual([]);
    expect(existsSync(witness)).toBe(false);
  });
});

describe("a good backup under another one's name", () => {
  const later = 'app_20270101_000000';
  const putUnder = (from: AgentHost, name: string): void => {
    for (const ending of ['sql.gz', 'manifest.json', 'privileges.sql.gz']) {
      writeFileSync(host.path(`${later}.${ending}`), readFileSync(from.path(`${name}.${ending}`)));
    }
  };
  afterEach(() => {
    for (const ending of ['sql.gz', 'manifest.json', 'privileges.sql.gz']) rmSync(host.path(`${later}.${ending}`));
  });

  it('is found out: an older one, put there to turn back the clock', async () => {
    putUnder(host, stem);
    const verified = await host.run('verify', later);
    expect([verified.code, verified.stdout]).toEqual([1, expect.stringContaining(`it was made as ${stem}.sql.gz`)]);
    const restored = await host.run('restore', later, '--into', 'turned');
    expect([restored.code, restored.stderr]).toEqual([1, expect.stringMatching(/not trusted: it was made as/)]);
    expect(await databases()).toEqual([]);
  });

  it("is found out: another database's, signed by the same host", async () => {
    await cluster.createDatabase('other');
    const other = new AgentHost({ cluster, database: 'other', stateDirectory: host.stateDirectory });
    try {
      const { name } = await other.json<{ name: string }>('backup');
      putUnder(other, name.replace('.sql.gz', ''));
      const verified = await host.run('verify', later);
      expect([verified.code, verified.stdout]).toEqual([1, expect.stringContaining('CORRUPT')]);
      const restored = await host.run('restore', later, '--into', 'swapped');
      expect([restored.code, restored.stderr]).toEqual([1, expect.stringContaining('not trusted')]);
      // By its path, too, under a name of its own kind.
      for (const ending of ['sql.gz', 'manifest.json']) {
        writeFileSync(
          host.path(name.replace('sql.gz', ending)),
          readFileSync(other.path(name.replace('sql.gz', ending))),
        );
      }
      const named = await host.run('restore', name, '--into', 'swapped');
      expect([named.code, named.stderr]).toEqual([1, expect.stringContaining('a backup of other of environment test')]);
      for (const ending of ['sql.gz', 'manifest.json']) rmSync(host.path(name.replace('sql.gz', ending)));
    } finally {
      other.remove();
      await cluster.dropDatabase('other');
    }
    expect(await databases()).toEqual([]);
  });
});

it('a dump that names databases and roles of the server runs none of it', async () => {
  await cluster.createDatabase('precious');
  await cluster.query('precious', 'CREATE TABLE t AS SELECT 1 AS n');
  const { stdout } = await cluster.runClient('pg_dump', ['-d', 'precious', '--create', '--clean', '--if-exists']);
  writeFileSync(host.path('app_20250301_030000.sql.gz'), gzipSync(stdout));
  const restored = await host.run('restore', 'app_20250301_030000', '--into', 'fresh', '--trust-source');
  expect([restored.code, restored.stderr]).toEqual([1, expect.stringMatching(/DROP DATABASE.*--create/)]);
  expect(await cluster.query('precious', 'SELECT n FROM t')).toEqual([{ n: 1 }]);
  rmSync(host.path('app_20250301_030000.sql.gz'));
  await cluster.dropDatabase('precious');
  expect(await databases()).toEqual([]);
});

describe("an old script's dump", () => {
  const name = 'app_20250131_030000';
  beforeAll(async () => {
    await cluster.query('postgres', 'CREATE ROLE clerk LOGIN CREATEDB; CREATE ROLE app_owner');
    await cluster.query('app', 'ALTER TABLE runner OWNER TO app_owner; GRANT SELECT ON run TO app_owner');
    const { stdout } = await cluster.runClient('pg_dump', ['-d', 'app']);
    writeFileSync(host.path(`${name}.sql.gz`), gzipSync(stdout));
  });

  it('is listed as unmanaged, shown and verified', async () => {
    const { items } = await host.json<{ items: { name: string; state: string }[] }>('list');
    expect(items).toContainEqual(expect.objectContaining({ name, state: 'unmanaged', id: null }));
    expect(await host.json('show', name)).toMatchObject({ managed: false });
    const { copies } = await host.json<{ copies: object[] }>('verify', name);
    expect(copies).toMatchObject([{ state: 'verified', comparedWith: 'nothing', trusted: false }]);
  });

  it('is refused as a superuser, and restored when its source is said to be trusted', async () => {
    const refused = await host.run('restore', name, '--into', 'old', '--json');
    expect([refused.code, JSON.parse(refused.stdout)]).toMatchObject([1, { error: { code: 'SourceUntrusted' } }]);
    expect(refused.stderr).toMatch(/has no manifest.*no superuser.*--trust-source/);
    await host.json('restore', name, '--into', 'old', '--trust-source');
    expect(await fingerprint(cluster, 'old')).toEqual(await fingerprint(cluster, 'app'));
    await cluster.dropDatabase('old');
  });

  it('is restored without asking by a role that is no superuser, but for owners it may not give', async () => {
    const clerk = new AgentHost({ cluster, database: 'app', connection: { user: 'clerk' } });
    try {
      const { code, stderr } = await clerk.run('restore', host.path(`${name}.sql.gz`), '--into', 'old');
      expect([code, stderr]).toEqual([0, expect.stringMatching(/owners, grants or settings were left out/)]);
      expect(await fingerprint(cluster, 'old')).toEqual(await fingerprint(cluster, 'app'));
      const [owner] = await cluster.query('old', "SELECT tableowner FROM pg_tables WHERE tablename = 'runner'");
      expect(owner).toEqual({ tableowner: 'clerk' });
    } finally {
      clerk.remove();
      await cluster.dropDatabase('old');
    }
  });

  it('that was cut is corrupt, and leaves no database', async () => {
    const whole = readFileSync(host.path(`${name}.sql.gz`));
    writeFileSync(host.path('app_20250201_030000.sql.gz'), whole.subarray(0, whole.length - 2000));
    const verified = await host.run('verify', 'app_20250201_030000', '--json');
    expect([verified.code, JSON.parse(verified.stdout)]).toMatchObject([1, { copies: [{ state: 'corrupt' }] }]);
    const restored = await host.run('restore', 'app_20250201_030000', '--into', 'old', '--trust-source');
    expect(restored.code).toBe(1);
    expect(await databases()).toEqual([]);
  });
});
