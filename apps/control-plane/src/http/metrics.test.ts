import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { alerts } from '../catalog/schema.ts';
import { startControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import type { TestHost, TestLink } from '../testing/host.ts';
import { madeBackup, runBody } from '../testing/reports.ts';
import { newId } from '@strideiq/core';

const monitoring = join(import.meta.dirname, '../../../../docker/monitoring');

let server: TestControlPlane;
let host: TestHost;
let link: TestLink;
beforeEach(async () => {
  server = await startControlPlane();
  host = server.host('production', 'db1');
  link = await host.connect();
  const at = new Date(server.clock.now).toISOString();
  const more = { startedAt: new Date(server.clock.now - 60_000).toISOString(), finishedAt: at };
  const runId = newId(server.clock.now);
  await link.send(
    host.report('run', runBody(host, runId, 'succeeded', { ...more, backup: madeBackup(host, { snapshotAt: at }) })),
  );
  await link.api.heartbeat.mutate({
    sentAt: at,
    databases: [],
    stores: [{ storeId: host.storeId(), freeBytes: 12_345 }],
  });
  const alert = { rule: 'noBackup', subject: 'database:1', name: 'x', state: 'open', severity: 'critical' } as const;
  server.catalog
    .insert(alerts)
    .values({ id: 'one', ...alert, text: '', environment: 'production', openedAt: 1, told: 1 })
    .run();
});
afterEach(async () => {
  await link.close();
  await server.stop();
});

const metricsFor = async (key: string | null) =>
  server.app.inject({ url: '/metrics', headers: key === null ? {} : { authorization: `Bearer ${key}` } });

test('every name of the contract is told, with its labels and in seconds and bytes', async () => {
  server.clock.now += 3_600_000;
  const { body, headers, statusCode } = await metricsFor(server.adminKey);
  expect({ statusCode, type: headers['content-type'] }).toEqual({
    statusCode: 200,
    type: 'text/plain; version=0.0.4; charset=utf-8',
  });
  const labels = 'environment="production",database="running_app"';
  const ended = (server.clock.now - 3_600_000) / 1000;
  for (const line of [
    `strideiq_backup_last_success_timestamp_seconds{${labels}} ${ended}`,
    `strideiq_backup_size_bytes{${labels}} 1000`,
    `strideiq_backup_duration_seconds{${labels}} 60`,
    `strideiq_agent_disk_free_bytes{${labels},store="local"} 12345`,
    `strideiq_objective_rpo_ratio{${labels},scenario="databaseCorruption"} ${1 / 24}`,
    `strideiq_copies{${labels},store="local",state="stored"} 1`,
    'strideiq_agent_connected{environment="production",agent="db1"} 1',
    'strideiq_alerts_open{environment="production",rule="noBackup",severity="critical"} 1',
  ])
    expect(body.split('\n')).toContain(line);
  for (const name of ['backup_last_verified_timestamp_seconds', 'restore_duration_seconds', 'objective_rto_ratio'])
    expect(body).toContain(`# TYPE strideiq_${name} gauge`);
  expect(body).toContain('process_cpu_seconds_total');
});

test('names of databases are for whoever has a key, and of the environments of that key', async () => {
  expect((await metricsFor(null)).statusCode).toBe(401);
  expect((await metricsFor('siq_none')).statusCode).toBe(401);
  const { body, statusCode } = await metricsFor(server.keyFor('viewer', ['staging']));
  expect(statusCode).toBe(200);
  expect(body).not.toMatch(/production|running_app|process_/);
});

test('the dashboard and the rules ask for nothing that is not told', async () => {
  const { body } = await metricsFor(server.adminKey);
  const told = new Set([...body.matchAll(/^# TYPE (strideiq_\w+)/gm)].map(([, name]) => name));
  for (const file of ['grafana-dashboard.json', 'strideiq.rules.yml']) {
    const text = readFileSync(join(monitoring, file), 'utf8');
    const asked = new Set([...text.matchAll(/\bstrideiq_\w+/g)].map(([name]) => name));
    expect(asked.size).toBeGreaterThan(5);
    expect([...asked].filter((name) => !told.has(name) && name !== 'strideiq_messages_waiting')).toEqual([]);
  }
});

/** The set-up for tests brings it where Debian's package `prometheus` can be had: tools/promtool.mjs. */
const promtool = ['promtool', join(import.meta.dirname, '../../../../.cache/promtool/promtool')].find(
  (program) => spawnSync(program, ['--version']).status === 0,
);

test.runIf(promtool)('promtool finds nothing to say against them, nor against the rules', async () => {
  const { body } = await metricsFor(server.adminKey);
  const checked = spawnSync(promtool ?? '', ['check', 'metrics'], { input: body, encoding: 'utf8' });
  // What prom-client itself names so is not ours to change.
  const said = `${checked.stdout}${checked.stderr}`.split('\n').filter((line) => line.startsWith('strideiq_'));
  expect(said).toEqual([]);
  const rules = join(monitoring, 'strideiq.rules.yml');
  expect(execFileSync(promtool ?? '', ['check', 'rules', rules], { encoding: 'utf8' })).toContain(
    'SUCCESS: 7 rules found',
  );
});
