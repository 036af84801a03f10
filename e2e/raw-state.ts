import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { GetObjectCommand, ListMultipartUploadsCommand, ListObjectsV2Command, type S3Client } from '@aws-sdk/client-s3';
import type { PostgresCluster } from '@strideiq/testkit';
import Database from 'better-sqlite3';
import { expect } from 'vitest';
import type { AgentHost } from './agent-host.ts';

/**
 * What stands in stores, server and journal, looked at without any part of the product: as an operator would see it
 * with `gzip -t`, `sha256sum`, an S3 client, psql and sqlite3.
 */

/** One store, as names and what they hold. */
export interface RawStore {
  name: 'local' | 's3';
  /** Final names, and something that changes whenever the content does. */
  names(): Promise<Map<string, string>>;
  read(name: string): Promise<Buffer>;
  /** Temporary files or multipart uploads. */
  unfinished(): Promise<string[]>;
}

export function rawDirectory(path: string): RawStore {
  return {
    name: 'local',
    async names() {
      const final = readdirSync(path).filter((name) => !name.startsWith('.'));
      return new Map(
        final.map((name) => [name, `${statSync(join(path, name)).ino} ${statSync(join(path, name)).size}`]),
      );
    },
    read: async (name) => readFileSync(join(path, name)),
    unfinished: async () => readdirSync(path).filter((name) => name.startsWith('.')),
  };
}

export function rawBucket(client: S3Client, Bucket: string, prefix = 'backups/'): RawStore {
  return {
    name: 's3',
    async names() {
      const found = new Map<string, string>();
      for (let ContinuationToken: string | undefined; ;) {
        const page = await client.send(
          new ListObjectsV2Command({ Bucket, Prefix: prefix, ...(ContinuationToken ? { ContinuationToken } : {}) }),
        );
        for (const { Key = '', ETag = '', LastModified } of page.Contents ?? []) {
          found.set(Key.slice(prefix.length), `${ETag} ${LastModified?.toISOString()}`);
        }
        if (page.NextContinuationToken === undefined) return found;
        ContinuationToken = page.NextContinuationToken;
      }
    },
    async read(name) {
      const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: prefix + name }));
      return Buffer.from((await Body?.transformToByteArray()) ?? []);
    },
    async unfinished() {
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket }));
      return Uploads.map(({ Key }) => Key ?? '');
    },
  };
}

interface RawManifest {
  runId: string;
  object: { name: string; bytes: number; sha256: string };
}

export const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

/** The last lines of every plain dump, as pg_dump writes them; newer ones close with `\unrestrict`. */
const closingLine = /-- PostgreSQL database dump complete\n--\n+(?:\\unrestrict \S+\n+)?$/;

/** Runs `gzip -dc`, and expects it to take the file. */
function gunzipped(bytes: Buffer, what: string): Buffer {
  const { status, stdout, stderr } = spawnSync('gzip', ['-dc'], { input: bytes, maxBuffer: 2 ** 31 - 1 });
  expect({ what, status, stderr: stderr.toString() }).toEqual({ what, status: 0, stderr: '' });
  return stdout;
}

/** What was looked at before and has not changed since. */
const seen = new Set<string>();

/**
 * Holds at every moment, whatever was killed: what bears a final name is whole, a manifest has its object, and LATEST is
 * something whole.
 * @returns the manifests, by name
 */
export async function expectOnlyWhole(store: RawStore): Promise<Map<string, RawManifest>> {
  const names = await store.names();
  const manifests = new Map<string, RawManifest>();
  for (const [name, version] of names) {
    const what = `${name} in ${store.name}`;
    if (name.endsWith('.manifest.json')) {
      const manifest = JSON.parse((await store.read(name)).toString()) as RawManifest;
      const object = names.get(manifest.object.name);
      expect([...names.keys()]).toContain(manifest.object.name);
      if (name !== 'LATEST.manifest.json') manifests.set(name, manifest);
      const key = `${store.name} ${name} ${version} ${object}`;
      if (seen.has(key)) continue;
      const bytes = await store.read(manifest.object.name);
      const { bytes: sizeBytes, sha256: sum } = manifest.object;
      expect({ what, sizeBytes: bytes.length, sum: sha256(bytes) }).toEqual({ what, sizeBytes, sum });
      seen.add(key);
    } else if (name.endsWith('.sql.gz')) {
      const key = `${store.name} ${name} ${version}`;
      if (seen.has(key)) continue;
      const sql = gunzipped(await store.read(name), what);
      const end = sql.subarray(-200).toString();
      const isClosed = /\.(?:privileges|globals)\.sql\.gz$/.test(name) || closingLine.test(end);
      expect({ what, isClosed, end }).toEqual({ what, isClosed: true, end });
      seen.add(key);
    }
  }
  return manifests;
}

export interface RawRun {
  id: string;
  kind: string;
  state: string;
  error: string | null;
  error_code: string | null;
  detail: {
    copies?: { store: string; dumpKey: string; state?: string; error?: string; errorCode?: string }[];
    into?: string;
  };
}

/** All runs of a host, oldest first. */
export function journalOf(host: AgentHost): RawRun[] {
  const journal = new Database(join(host.stateDirectory, 'journal.db'), { readonly: true, timeout: 10_000 });
  try {
    const rows = journal.prepare('SELECT id, kind, state, error, error_code, detail FROM runs ORDER BY id').all();
    return (rows as (Omit<RawRun, 'detail'> & { detail: string })[]).map((row) => ({
      ...row,
      detail: JSON.parse(row.detail) as RawRun['detail'],
    }));
  } finally {
    journal.close();
  }
}

export interface RawReport {
  reportId: string;
  seq: number;
  kind: string;
  body: Record<string, unknown>;
}

/** All reports that a host's journal holds, oldest first. */
export function reportsOf(host: AgentHost): RawReport[] {
  const journal = new Database(join(host.stateDirectory, 'journal.db'), { readonly: true, timeout: 10_000 });
  try {
    const rows = journal.prepare('SELECT report_id AS reportId, seq, kind, body FROM reports ORDER BY seq').all();
    return (rows as (Omit<RawReport, 'body'> & { body: string })[]).map((row) => ({
      ...row,
      body: JSON.parse(row.body) as RawReport['body'],
    }));
  } finally {
    journal.close();
  }
}

export async function databasesOf(cluster: PostgresCluster): Promise<string[]> {
  const rows = await cluster.query<{ datname: string }>('postgres', 'SELECT datname FROM pg_database ORDER BY 1');
  return rows.map(({ datname }) => datname);
}

/** Nothing half done is anywhere. */
export async function expectNothingLeft(cluster: PostgresCluster, stores: readonly RawStore[]): Promise<void> {
  for (const { name, ...store } of stores) {
    expect({ name, unfinished: await store.unfinished() }).toEqual({ name, unfinished: [] });
  }
  expect((await databasesOf(cluster)).filter((name) => name.startsWith('strideiq_'))).toEqual([]);
}

/**
 * The journal says of each run what happened: a backup succeeded where a manifest of it stands in a store and there
 * alone, a restore where its database is there.
 */
export async function expectTrueOutcomes(
  host: AgentHost,
  cluster: PostgresCluster,
  stores: readonly RawStore[],
): Promise<RawRun[]> {
  const runs = journalOf(host);
  const databases = new Set(await databasesOf(cluster));
  const kept = new Map<string, string[]>();
  for (const store of stores) {
    for (const { runId } of (await expectOnlyWhole(store)).values()) {
      kept.set(runId, [...(kept.get(runId) ?? []), store.name]);
    }
  }
  for (const run of runs) {
    const isThere = run.kind === 'restore' ? databases.has(run.detail.into ?? '') : kept.has(run.id);
    const stored = (run.detail.copies ?? []).filter(({ state }) => state === 'stored').map(({ store }) => store);
    expect({ ...run, hasSucceeded: run.state === 'succeeded', stored: stored.toSorted() }).toEqual({
      ...run,
      state: isThere ? 'succeeded' : expect.stringMatching(/^(failed|cancelled)$/),
      hasSucceeded: isThere,
      stored: (kept.get(run.id) ?? []).toSorted(),
    });
  }
  return runs;
}
