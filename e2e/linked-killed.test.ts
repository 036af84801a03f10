import { setTimeout as delay } from 'node:timers/promises';
import { join } from 'node:path';
import { startPostgres, startTcpProxy, waitFor } from '@strideiq/testkit';
import type { PostgresCluster, TcpProxy } from '@strideiq/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AgentHost, type RunningAgent } from './agent-host.ts';
import { ControlPlaneServer, ended, type Run } from './control-plane-server.ts';
import { expectNothingLeft, expectTrueOutcomes, journalOf, rawDirectory, reportsOf } from './raw-state.ts';
import { long, randomFrom, seed } from './seeded-random.ts';

/**
 * Twenty hosts back up and restore as they are asked to, while control plane, agents and connections are killed at
 * random, and the catalog is set back to an older copy. After each round: every report of every journal recorded once,
 * nothing done twice, no run in progress, and a catalog that says what the journals say.
 */

const hosts = 20;
/** Work asked for in each round, of as many hosts. */
const askedPerRound = 5;

let cluster: PostgresCluster;
let server: ControlPlaneServer;
let proxy: TcpProxy;
/** Every run that was ever asked for; nothing here begins one by itself. */
const askedFor = new Set<string>();
const fleet: { host: AgentHost; daemon: RunningAgent; agentId: string; databaseId: string }[] = [];

beforeAll(async () => {
  cluster = await startPostgres();
  server = new ControlPlaneServer();
  await server.start();
  proxy = await startTcpProxy({ to: { host: '127.0.0.1', port: server.port } });
  const url = `http://${proxy.host}:${proxy.port}`;
  const numbers = Array.from({ length: hosts }, (_, at) => at);
  // Two at a time: each starts two programs.
  const enrolNext = async (): Promise<void> => {
    for (let at = numbers.shift(); at !== undefined; at = numbers.shift()) {
      const database = `app_${at}`;
      await cluster.createDatabase(database);
      await cluster.query(
        database,
        'CREATE TABLE run AS SELECT g AS id, md5(g::text) AS note FROM generate_series(1, 500) g',
      );
      const environment = at % 2 === 0 ? 'even' : 'odd';
      // Every run here is one that was asked for: none is made by the host itself.
      const more = { verify: { afterBackup: false } };
      const host = new AgentHost({ cluster, database, environment, controlPlane: url, more });
      const daemon = await server.enrol(host, url);
      fleet.push({ host, daemon, ...(await server.connected(host)) });
    }
  };
  await Promise.all([enrolNext(), enrolNext()]);
  const first = await Promise.all(fleet.map(async ({ databaseId }) => server.ask('/backups', { databaseId })));
  for (const runId of first) {
    askedFor.add(runId);
    const run = await server.ended(runId);
    if (run.state !== 'succeeded') throw new Error(`a first backup ${run.state}: ${JSON.stringify(run['error'])}`);
  }
}, 400_000);

afterAll(async () => {
  for (const { daemon } of fleet) {
    daemon.process.kill('SIGKILL');
    await daemon.result;
  }
  await proxy?.stop();
  await server?.remove();
  for (const { host } of fleet) host.remove();
  await cluster?.stop();
});

type Victim = 'control plane' | 'agents' | 'connections' | 'catalog set back';
const victims: Victim[] = ['control plane', 'agents', 'connections', 'catalog set back'];

describe(`killed at random, seed ${seed}`, () => {
  const random = randomFrom(seed);
  const rounds = Array.from({ length: long ? 50 : victims.length }, (_, at) => ({
    at,
    victim: victims[at % victims.length] ?? 'agents',
    afterMs: Math.floor(random() * 2500),
    first: Math.floor(random() * hosts),
    isRestore: Array.from({ length: askedPerRound }, () => random() < 0.6),
  }));

  test.each(rounds)('round $at: $victim after $afterMs ms', async ({ at, victim, afterMs, first, isRestore }) => {
    const older = join(server.directory, `older-${at}.db`);
    if (victim === 'catalog set back') await server.run('catalog', 'backup', older);
    const chosen = isRestore.map((restore, nth) => ({ restore, ...member(first + nth * 3) }));
    const asked = Promise.all(chosen.map(async (each, nth) => askUntilTaken(each, `round-${at}-${nth}`)));
    await delay(afterMs);
    await strike(victim, first, older);
    const runIds = await asked;
    // A client that never got its answer asks again.
    const again = await Promise.all(chosen.map(async (each, nth) => askUntilTaken(each, `round-${at}-${nth}`)));
    expect(again).toEqual(runIds);
    for (const runId of runIds) {
      askedFor.add(runId);
      const { state, error } = await server.ended(runId);
      const code = (error as { code: string } | null)?.code ?? null;
      // Nothing fails here but by being killed.
      expect([
        ['succeeded', null],
        ['failed', 'AgentDied'],
      ]).toContainEqual([state, code]);
    }
    await expectConverged();
  });
});

function member(at: number) {
  const found = fleet[at % hosts];
  if (!found) throw new Error(`no host ${at}`);
  return found;
}

/** As a client with a retry of its own: the same request, by the same key, until it is answered. */
async function askUntilTaken(
  { restore, agentId, databaseId }: { restore: boolean; agentId: string; databaseId: string },
  idempotencyKey: string,
): Promise<string> {
  const database = `restored_${idempotencyKey.replaceAll('-', '_')}`;
  return waitFor(
    `an answer to ${idempotencyKey}`,
    async () => {
      const answer = await (
        restore
          ? server.request('POST', '/restores', {
              body: { databaseId, latest: true, target: { agentId, mode: 'fresh', database } },
              idempotencyKey,
            })
          : server.request('POST', '/backups', { body: { databaseId }, idempotencyKey })
      ).catch(() => undefined);
      if (answer !== undefined && answer.status !== 202) throw new Error(JSON.stringify(answer));
      return answer?.body['runId'] as string | undefined;
    },
    { timeoutMs: 60_000 },
  );
}

async function strike(victim: Victim, first: number, older: string): Promise<void> {
  if (victim === 'control plane') {
    await server.kill();
    await server.start();
  } else if (victim === 'catalog set back') {
    await server.kill();
    await server.run('catalog', 'restore', older);
    await server.start();
  } else if (victim === 'connections') {
    // First silence, as of a cable that was pulled, then the end.
    await proxy.set({ blackHole: true });
    await delay(500);
    proxy.cut();
    await proxy.set({});
  } else {
    for (const at of [first, first + 3, first + 6]) {
      const found = member(at);
      found.daemon.process.kill('SIGKILL');
      await found.daemon.result;
      found.daemon = found.host.start('run');
    }
  }
}

async function expectConverged(): Promise<void> {
  const open = await waitFor(
    'every run to have ended, and every report to be recorded',
    async () => {
      const runs = server.rows<Run>('SELECT id, kind, state FROM runs').filter(({ state }) => !ended.includes(state));
      const missing = fleet.flatMap(({ host, agentId }) => {
        const recorded = new Set(
          server
            .rows<{ id: string }>('SELECT report_id AS id FROM reports WHERE agent_id = ?', agentId)
            .map(({ id }) => id),
        );
        return reportsOf(host).filter(({ reportId }) => !recorded.has(reportId));
      });
      return runs.length + missing.length === 0 ? { runs, missing } : undefined;
    },
    { timeoutMs: 90_000, everyMs: 200 },
  );
  expect(open).toEqual({ runs: [], missing: [] });
  const known = server.rows<Run>('SELECT id FROM runs').map(({ id }) => id);
  expect(known.toSorted()).toEqual([...askedFor].toSorted());
  const done = fleet.flatMap(({ host }) => journalOf(host).map(({ id }) => id));
  expect(done.filter((id) => !askedFor.has(id))).toEqual([]);
  for (const { host, agentId } of fleet) {
    const told = reportsOf(host);
    const recorded = server.rows<{ answer: string }>('SELECT answer FROM reports WHERE agent_id = ?', agentId);
    expect({ host: host.database, reports: recorded.length }).toEqual({ host: host.database, reports: told.length });
    expect(recorded.filter(({ answer }) => answer !== 'accepted')).toEqual([]);
    const lines = told
      .filter(({ kind }) => kind === 'log')
      .reduce((sum, { body }) => sum + (body['lines'] as unknown[]).length, 0);
    const [logged] = server.rows<{ n: number }>(
      'SELECT count(*) AS n FROM run_log WHERE run_id IN (SELECT id FROM runs WHERE agent_id = ?)',
      agentId,
    );
    expect({ host: host.database, lines: logged?.n }).toEqual({ host: host.database, lines });
    // Backups in the directory and databases on the server are as many as the journal tells, and no more.
    const runs = await expectTrueOutcomes(host, cluster, [rawDirectory(host.backupDirectory)]);
    const states = new Map(
      server
        .rows<Run>('SELECT id, kind, state FROM runs WHERE agent_id = ?', agentId)
        .map(({ id, state }) => [id, state]),
    );
    for (const { id, state } of runs) expect({ id, state: states.get(id) }).toEqual({ id, state });
  }
  await expectNothingLeft(
    cluster,
    fleet.map(({ host }) => rawDirectory(host.backupDirectory)),
  );
}
