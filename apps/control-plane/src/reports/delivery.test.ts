import type { Report } from '@strideiq/protocol';
import { propertyRuns } from '@strideiq/testkit';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { LiveRuns } from '../runs/live-runs.ts';
import { startGateway, type TestGateway } from '../testing/gateway.ts';
import { bucketStore, TestHost } from '../testing/host.ts';
import { acts, journalOf } from '../testing/life-story.ts';
import { rowsOf, type TableRows } from '../testing/tables.ts';
import { recordReports } from './record-reports.ts';

let gateway: TestGateway;
let hosts: TestHost[];
let empty: TableRows;
beforeAll(async () => {
  gateway = await startGateway();
  hosts = ['db1', 'db2'].map((name) => new TestHost(gateway, 'production', name).looksAfter(`app-${name}`).enrol());
  for (const host of hosts) {
    host.databases[0]?.stores.push(bucketStore(host.hostname));
    const link = host.open();
    await link.hello();
    await link.close();
  }
  empty = rowsOf(gateway.catalog);
});
afterAll(async () => await gateway.stop());
beforeEach(() => setBackTo(empty));

/** The tables that reports are written to. */
const written = ['copies', 'backups', 'run_log', 'runs', 'reports', 'journals'];

/** Makes the catalog the one that it was. */
function setBackTo(rows: TableRows): void {
  const client = gateway.catalog.$client;
  client.transaction(() => {
    for (const table of written) client.prepare(`DELETE FROM ${table}`).run();
    for (const table of written.toReversed()) {
      for (const row of rows[table] ?? []) {
        const columns = Object.keys(row);
        const values = columns.map(() => '?').join(', ');
        client.prepare(`INSERT INTO ${table} (${columns.join(', ')}) VALUES (${values})`).run(...Object.values(row));
      }
    }
  })();
}

/** What is recorded, without the places of log lines in their table: their order is told by their own numbers. */
function recorded(): TableRows {
  const rows = rowsOf(gateway.catalog);
  const lines = (rows['run_log'] ?? []).toSorted((a, b) => Number(a['seq']) - Number(b['seq']));
  const runIds = new Set(lines.map((line) => line['run_id']));
  const texts = [...runIds].map((runId) => ({
    runId,
    texts: lines.filter((line) => line['run_id'] === runId).map((line) => line['text']),
  }));
  return { ...rows, run_log: texts.toSorted((a, b) => String(a.runId).localeCompare(String(b.runId))) };
}

interface Journal {
  host: TestHost;
  journalId: string;
  reports: Report[];
}

const parts = () => ({ ...gateway, liveRuns: new LiveRuns() });

function deliver({ host, journalId, reports }: Journal, from: number, to: number): void {
  const batch = reports.slice(from, to);
  if (batch.length > 0)
    recordReports(parts(), { agentId: host.agentId, environment: host.environment }, { journalId, reports: batch });
}

/** How much of a journal is recorded, as hello would tell. */
function markOf({ host, journalId }: Journal): number {
  const mark = gateway.catalog.$client
    .prepare('SELECT high_water FROM journals WHERE agent_id = ? AND journal_id = ?')
    .pluck()
    .get(host.agentId, journalId) as number | undefined;
  return mark ?? 0;
}

/** Two hosts, one of which had another state directory before: three journals. */
const journals = fc.tuple(acts, acts, acts).map(([first, second, third]): Journal[] => {
  const [one, two] = hosts;
  if (!one || !two) throw new Error('none');
  return [
    { host: one, journalId: one.journalId, acts: first },
    { host: two, journalId: two.journalId, acts: second },
    { host: one, journalId: two.journalId, acts: third },
  ].map(({ host, journalId, acts }) => {
    host.seq = 0;
    return { host, journalId, reports: journalOf(host, acts) };
  });
});

/** One batch: of which journal, how many of those that were delivered before it holds again, and how many new ones. */
const batches = fc.array(fc.record({ of: fc.nat({ max: 2 }), again: fc.nat({ max: 10 }), more: fc.nat({ max: 10 }) }), {
  maxLength: 30,
});
type Batch = { of: number; again: number; more: number };

/** Sends batches as a link that breaks makes them: cut, repeated, those of the journals in any order; and then the rest. */
function deliverAnyhow(all: readonly Journal[], some: readonly Batch[]): void {
  const delivered = all.map(markOf);
  for (const { of, again, more } of some) {
    const [journal, upTo = 0] = [all[of], delivered[of]];
    if (!journal) continue;
    deliver(journal, Math.max(0, upTo - again), upTo + more);
    delivered[of] = Math.min(journal.reports.length, Math.max(upTo, upTo + more));
  }
  for (const [at, journal] of all.entries()) deliver(journal, delivered[at] ?? 0, journal.reports.length);
}

const runs = { numRuns: propertyRuns(40) };

test('any cutting, repeating and interleaving of batches ends in the catalog that one delivery in order makes', () => {
  fc.assert(
    fc.property(journals, batches, (all, some) => {
      setBackTo(empty);
      for (const journal of all) deliver(journal, 0, journal.reports.length);
      const once = recorded();
      setBackTo(empty);
      deliverAnyhow(all, some);
      expect(recorded()).toEqual(once);
    }),
    runs,
  );
});

test('a catalog that was set back to an older copy is what it was, once its agents have sent what is above the mark', () => {
  fc.assert(
    fc.property(journals, batches, batches, batches, (all, before, between, after) => {
      setBackTo(empty);
      for (const journal of all) deliver(journal, 0, journal.reports.length);
      const once = recorded();
      setBackTo(empty);
      const upTo = all.map(({ reports }, at) => reports.slice(0, (before[at]?.more ?? 0) * 3));
      deliverAnyhow(
        all.map((journal, at) => ({ ...journal, reports: upTo[at] ?? [] })),
        before,
      );
      const copy = rowsOf(gateway.catalog);
      deliverAnyhow(all, between);
      expect(recorded()).toEqual(once);
      setBackTo(copy);
      deliverAnyhow(all, after);
      expect(recorded()).toEqual(once);
    }),
    runs,
  );
});
