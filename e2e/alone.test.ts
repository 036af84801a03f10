import { join } from 'node:path';
import {
  startHttpFaultProxy,
  startPostgres,
  startTcpProxy,
  waitFor,
  type HttpFaultProxy,
  type PostgresCluster,
  type TcpProxy,
} from '@strideiq/testkit';
import Database from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { AgentHost, type HostOptions, type RunningAgent } from './agent-host.ts';
import { ControlPlaneServer } from './control-plane-server.ts';
import { HostClock } from './host-clock.ts';
import { ownS3 } from './own-s3.ts';
import { journalOf, reportsOf, type RawReport, type RawRun } from './raw-state.ts';

/** What a host does with nobody there: days pass in a minute, by a clock of its own that ends at this machine's. */

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const within = { timeoutMs: 60_000, everyMs: 100 };

let cluster: PostgresCluster;
beforeAll(async () => {
  cluster = await startPostgres();
  await cluster.createDatabase('app');
  await cluster.query('app', 'CREATE TABLE t AS SELECT n FROM generate_series(1, 10) AS n');
}, 120_000);
afterAll(async () => {
  await cluster?.stop();
});

let server: ControlPlaneServer;
let host: AgentHost;
let clock: HostClock;
let daemon: RunningAgent | undefined;
beforeEach(async () => {
  server = new ControlPlaneServer();
  await server.start();
});
afterEach(async () => {
  await end();
  await server.remove();
  host.remove();
  clock.remove();
});

async function end(): Promise<void> {
  daemon?.process.kill('SIGKILL');
  await daemon?.result;
  daemon = undefined;
}

interface Days {
  /** Hours from one backup to the next. */
  everyHours: number;
  /** Backups after the first, of which the last is due at this machine's time. */
  count: number;
  /** What the host's file says. */
  retention: Record<string, object>;
}

/** Starts the host, enrolled and connected, with its clock an hour before the first backup. */
async function startHost(
  { everyHours, count, retention }: Days,
  options: Partial<HostOptions>,
): Promise<{ schedule: string; everyMs: number; first: number; last: number; databaseId: string }> {
  const schedule = `0 */${everyHours} * * *`;
  const everyMs = everyHours * hourMs;
  const last = Math.floor(Date.now() / everyMs) * everyMs;
  const first = last - count * everyMs;
  clock = new HostClock(first - hourMs);
  host = new AgentHost({
    cluster,
    database: 'app',
    controlPlane: server.url,
    env: clock.env,
    more: { schedule, retention },
    ...options,
  });
  daemon = await server.enrol(host);
  const { databaseId } = await server.connected(host);
  return { schedule, everyMs, first, last, databaseId };
}

interface DueRun extends RawRun {
  started_at: number;
  finished_at: number | null;
  detail: RawRun['detail'] & {
    dueAt?: number;
    backupId?: string;
    warnings?: string[];
    copies?: { storeId: string; store: string; dumpKey: string; state: string }[];
  };
}

/** Rows of the host's journal, as they stand there. */
function journalRows<T>(sql: string): T[] {
  const journal = new Database(join(host.stateDirectory, 'journal.db'), { readonly: true, timeout: 10_000 });
  try {
    return journal.prepare(sql).all() as T[];
  } finally {
    journal.close();
  }
}

const runs = () => journalOf(host) as DueRun[];
const backups = () => runs().filter(({ kind }) => kind === 'backup');
const of = (kind: string): RawReport['body'][] =>
  reportsOf(host).flatMap((each) => (each.kind === kind ? [each.body] : []));
const dumps = () => host.files().filter((name) => /^app_\d+_\d+\.sql\.gz$/.test(name));

/** What the host's clock comes to, and the backup of then. */
async function backedUpAt(moment: number): Promise<DueRun> {
  clock.set(moment + 5000);
  return waitFor(
    `the backup of ${new Date(moment).toISOString()}, and its reading back`,
    () => {
      const run = backups().find(({ detail, state }) => detail.dueAt === moment && state === 'succeeded');
      const key = run?.detail.copies?.[0]?.dumpKey;
      const isReadBack = of('copy').some((copy) => copy['key'] === key && copy['state'] === 'verified');
      return isReadBack && runs().every(({ state }) => state !== 'running') ? run : undefined;
    },
    within,
  );
}

async function failedAt(moment: number, times: number): Promise<void> {
  const failures = () => backups().filter(({ detail, state }) => detail.dueAt === moment && state === 'failed');
  await waitFor(`failure ${times} of ${new Date(moment).toISOString()}`, () => failures().length === times, within);
}

async function delivered(): Promise<void> {
  const recorded = () => server.rows<{ n: number }>('SELECT count(*) AS n FROM reports')[0]?.n;
  await waitFor('all to be delivered', () => recorded() === reportsOf(host).length, within);
}

/** What the catalog tells is what the journal does, row by row and in its order: nothing is missing and nothing double. */
function expectWholeHistory(): void {
  const told = reportsOf(host);
  expect(told.map(({ seq }) => seq)).toEqual(told.map((_, at) => at + 1));
  expect(server.rows(`SELECT report_id AS reportId, seq, answer FROM reports ORDER BY rowid`)).toEqual(
    told.map(({ reportId, seq }) => ({ reportId, seq, answer: 'accepted' })),
  );
  const columns = 'id, kind, state, error_code AS errorCode, error';
  expect(
    server.rows(
      `SELECT ${columns}, host_started_at AS startedAt, host_finished_at AS finishedAt FROM runs ORDER BY id`,
    ),
  ).toEqual(journalRows(`SELECT ${columns}, started_at AS startedAt, finished_at AS finishedAt FROM runs ORDER BY id`));
  const sealed = ['objectName', 'bytes', 'rawBytes', 'sha256', 'manifestSha256', 'rows', 'tables'];
  const inCatalog = 'object_name, bytes, raw_bytes, sha256, manifest_sha256, rows, tables';
  expect(
    server.rows<object>(`SELECT id, run_id, ${inCatalog} FROM backups ORDER BY id`).map((row) => Object.values(row)),
  ).toEqual(
    journalRows<object>(
      `SELECT json_extract(detail, '$.backupId'), id, ${sealed.map((key) => `json_extract(detail, '$.sealed.${key}')`).join(', ')}
         FROM runs WHERE json_extract(detail, '$.sealed') IS NOT NULL ORDER BY 1`,
    ).map((row) => Object.values(row)),
  );
  // As they stand in the directory, and as they were read back and let go of.
  const there = new Set(dumps());
  const deleted = of('deletion').map(({ key }) => key);
  expect(server.rows('SELECT key, state FROM copies ORDER BY key')).toEqual(
    backups()
      .flatMap(({ detail, state }) => (state === 'succeeded' ? (detail.copies ?? []) : []))
      .map(({ dumpKey: key }) => ({ key, state: there.has(key) ? 'verified' : 'deleted' }))
      .toSorted((one, other) => one.key.localeCompare(other.key)),
  );
  expect(
    server.rows<{ key: string }>(
      `SELECT json_extract(detail, '$.key') AS key FROM audit WHERE action = 'copy.delete' ORDER BY seq`,
    ),
  ).toEqual(deleted.map((key) => ({ key })));
  expect(new Set(deleted).size).toBe(deleted.length);
  expect(
    server.rows<{ runId: string; text: string }>('SELECT run_id AS runId, text FROM run_log ORDER BY seq'),
  ).toEqual(
    of('log').flatMap(({ runId, lines }) => (lines as { text: string }[]).map(({ text }) => ({ runId, text }))),
  );
}

describe('a week without control plane', () => {
  let proxy: TcpProxy;
  beforeEach(async () => {
    proxy = await startTcpProxy({ to: { host: cluster.host, port: cluster.port } });
  });
  afterEach(async () => proxy.stop());

  test('and it is back with its catalog, and then with one of a week ago: the history is whole, nothing is double, and retention was kept', async () => {
    const { schedule, everyMs, first, last, databaseId } = await startHost(
      // What is in force is another by then.
      { everyHours: 6, count: 28, retention: { local: { days: 5 } } },
      { connection: { host: proxy.host, port: proxy.port } },
    );
    const { detail: pinned } = await backedUpAt(first);
    await delivered();
    expectWholeHistory();
    const policy = { schedule, retention: { local: { days: 2 } } };
    const changes = [
      await server.request('POST', `/databases/${databaseId}/policy`, { body: { policy } }),
      await server.request('POST', `/backups/${pinned.backupId}/pin`, { body: { reason: 'an audit' } }),
    ];
    expect(changes.map(({ status }) => status)).toEqual([200, 200]);
    const goesBy = async () => (await server.get<{ runs: number }>(`/databases/${databaseId}/policy`)).runs === 2;
    await waitFor('the host to go by what was changed', goesBy, within);
    await waitFor(
      'the pin to be known there',
      () => journalRows<{ pins: string }>('SELECT pins FROM policies')[0]?.pins.includes('an audit'),
      within,
    );
    const older = join(server.directory, 'a-week-ago.db');
    await server.run('catalog', 'backup', older);
    await server.kill();

    for (let nth = 1; nth <= 28; nth++) {
      const moment = first + nth * everyMs;
      // For a day its server is away.
      if (nth === 13) {
        await proxy.set({ refuse: true });
        proxy.cut();
      }
      if (nth === 17) await proxy.set({});
      if (nth >= 13 && nth < 17) {
        clock.set(moment + 5000);
        await failedAt(moment, 1);
        if (nth > 13) continue;
        const isPlanned = () => journalRows<{ attempt: number }>('SELECT attempt FROM due_runs')[0]?.attempt === 2;
        await waitFor('another attempt to be planned', isPlanned, within);
        clock.set(moment + 180_000);
        await failedAt(moment, 2);
        continue;
      }
      if (nth === 21) {
        await end();
        daemon = host.start('run');
      }
      await backedUpAt(moment);
    }

    const outcomes = backups().map(({ detail, state }) => `${detail.dueAt} ${state}`);
    const expected = Array.from({ length: 29 }, (_, nth) => nth).flatMap((nth) => {
      const moment = first + nth * everyMs;
      if (nth < 13 || nth >= 17) return [`${moment} succeeded`];
      return nth === 13 ? [`${moment} failed`, `${moment} failed`] : [`${moment} failed`];
    });
    expect(outcomes).toEqual(expected);
    expect(new Set(backups().flatMap(({ error_code: code }) => code ?? []))).toEqual(new Set(['ServerUnreachable']));
    // Two days back from the newest, what was pinned, and nothing else.
    const kept = backups()
      .filter(
        ({ state, detail: { dueAt = 0, backupId } }) =>
          state === 'succeeded' && (dueAt > last - 2 * dayMs || backupId === pinned.backupId),
      )
      .map(({ detail }) => detail.copies?.[0]?.dumpKey);
    expect(kept).toHaveLength(9);
    await waitFor('retention', () => dumps().length === 9, within);
    expect(dumps()).toEqual(kept);

    await server.start();
    await server.connected(host);
    await delivered();
    expectWholeHistory();

    await server.kill();
    await server.run('catalog', 'restore', older);
    await server.start();
    await server.connected(host);
    await delivered();
    expectWholeHistory();
  }, 300_000);
});

interface Copy {
  store: string;
  state: string;
  error: { code: string; text: string } | null;
  since: string;
}

describe('a day without S3', () => {
  const s3 = ownS3('alone');
  let proxy: HttpFaultProxy;
  beforeEach(async () => {
    proxy = await startHttpFaultProxy({ to: s3().endpoint });
  });
  afterEach(async () => proxy.stop());

  test('local copies go on, the catalog says of each that failed where, why and since when, and what is missing is made in order', async () => {
    const { everyMs, first, last, databaseId } = await startHost(
      // Fewer than are made while S3 is away.
      { everyHours: 3, count: 10, retention: { local: { count: 3 }, s3: { days: 30 } } },
      { s3: { server: s3(), endpoint: proxy.endpoint, bucket: 'alone' }, dump: { stallLimit: '1s' } },
    );
    const stateOf = (run: DueRun, store: string) => run.detail.copies?.find((copy) => copy.store === store)?.state;
    const catalog = async () => {
      const { items } = await server.get<{ items: { runId: string; copies: Copy[] }[] }>(
        `/backups?databaseId=${databaseId}&limit=100`,
      );
      return new Map(items.map(({ runId, copies }) => [runId, new Map(copies.map((copy) => [copy.store, copy]))]));
    };
    for (const nth of [0, 1]) {
      const run = await backedUpAt(first + nth * everyMs);
      expect([stateOf(run, 'local'), stateOf(run, 's3')]).toEqual(['stored', 'stored']);
    }

    proxy.add({ fault: 'reset' });
    const missed: DueRun[] = [];
    for (let nth = 2; nth < 10; nth++) {
      const run = await backedUpAt(first + nth * everyMs);
      expect([stateOf(run, 'local'), stateOf(run, 's3')]).toEqual(['stored', 'failed']);
      missed.push(run);
    }
    await delivered();
    const meanwhile = await catalog();
    for (const { id, finished_at: finishedAt } of missedRows(missed)) {
      const copies = meanwhile.get(id);
      expect(copies?.get('local')).toMatchObject({ state: 'verified', error: null });
      expect(copies?.get('s3')).toMatchObject({
        state: 'failed',
        error: { code: 'StorageUnreachable', text: expect.stringContaining('alone') as string },
      });
      // When its run ended, to the moment at which that was written down.
      expect(Math.abs(Date.parse(copies?.get('s3')?.since ?? '') - finishedAt)).toBeLessThan(1000);
    }
    // Of those that are nowhere else none has gone, whatever the rules of the directory say.
    const keys = missed.map(({ detail }) => detail.copies?.[0]?.dumpKey ?? '');
    expect(dumps()).toEqual(expect.arrayContaining(keys));

    proxy.clear();
    const back = await backedUpAt(last);
    expect(stateOf(back, 's3')).toBe('stored');
    const made = () =>
      of('copy')
        .filter(({ state }) => state === 'stored')
        .map(({ key }) => key);
    await waitFor('the missing copies', () => made().length === missed.length, { ...within, timeoutMs: 150_000 });
    expect(made()).toEqual(keys);
    await delivered();
    const afterwards = await catalog();
    for (const { id } of missed) expect(afterwards.get(id)?.get('s3')).toMatchObject({ state: 'stored', error: null });

    // From now on the directory's own rules are enough.
    clock.set(last + everyMs + 5000);
    await waitFor('retention', () => dumps().length === 3, { ...within, timeoutMs: 90_000 });
    await delivered();
  }, 400_000);

  const missedRows = (missed: readonly DueRun[]) => {
    const ids = new Set(missed.map(({ id }) => id));
    return journalRows<{ id: string; finished_at: number }>('SELECT id, finished_at FROM runs').filter(({ id }) =>
      ids.has(id),
    );
  };
});
