import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  startHttpFaultProxy,
  startPostgres,
  waitFor,
  type HttpFaultProxy,
  type PostgresCluster,
} from '@strideiq/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AgentHost } from './agent-host.ts';
import { AlertsStage, hourMs } from './alerts-stage.ts';
import { ControlPlaneServer } from './control-plane-server.ts';
import { ownS3 } from './own-s3.ts';

/** The shipped programs, on a bucket that is cut, a table that is emptied and an agent that is killed: who hears of what. */

const s3 = ownS3('alerts');
const stage = new AlertsStage();
let cluster: PostgresCluster;
let proxy: HttpFaultProxy;
let host: AgentHost;
let databaseId = '';

beforeAll(async () => {
  cluster = await startPostgres();
  await cluster.createDatabase('app');
  await cluster.query('app', 'CREATE TABLE athletes AS SELECT n FROM generate_series(1, 5000) AS n');
  proxy = await startHttpFaultProxy({ to: s3().endpoint });
  await stage.start();
  host = new AgentHost({
    cluster,
    database: 'app',
    controlPlane: stage.server.url,
    env: stage.clock.env,
    s3: { server: s3(), endpoint: proxy.endpoint, bucket: 'alerts' },
    dump: { stallLimit: '1s' },
  });
  databaseId = await stage.enrol(host);
}, 240_000);
afterAll(async () => {
  await stage.stop();
  await proxy?.stop();
  await cluster?.stop();
});

test('what goes wrong is told while it is so, and that it is over', async () => {
  await stage.backUp(databaseId);
  expect(await stage.open()).not.toContain('copyFailed');

  proxy.add({ fault: 'reset' });
  await stage.backUp(databaseId);
  await stage.until('opened', 'copyFailed');
  const [failed] = stage.team.messages.filter(({ rule }) => rule === 'copyFailed');
  expect(failed?.title).toContain('app in s3');

  proxy.clear();
  await cluster.query('app', 'TRUNCATE athletes');
  await cluster.query('app', 'ALTER TABLE athletes ADD COLUMN name text');
  await stage.backUp(databaseId);
  await stage.until('resolved', 'copyFailed');
  await stage.until('opened', 'rowsLost', 'schemaChanged');
  const [lost] = stage.team.messages.filter(({ rule }) => rule === 'rowsLost');
  expect(lost?.alerts[0]?.text).toBe('public.athletes has 0 rows and had 5000.');

  await stage.kill(host);
  await stage.until('opened', 'agentAway');
  stage.pass(26 * hourMs);
  await stage.until('opened', 'noBackup');

  await stage.startAgain(host);
  await stage.backUp(databaseId);
  await stage.until('resolved', 'noBackup', 'agentAway', 'rowsLost', 'schemaChanged');
}, 900_000);

test('a certificate that is about to expire is told until the program was started with another one', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'strideiq-certificate-'));
  const [tlsCert, tlsKey] = [join(directory, 'cert.pem'), join(directory, 'key.pem')];
  const goodFor = (days: number) => {
    const subject = ['-subj', '/CN=localhost', '-days', String(days), '-keyout', tlsKey, '-out', tlsCert];
    const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    expect(spawnSync('openssl', ['req', ...kind, ...subject]).status).toBe(0);
  };
  goodFor(10);
  const server = new ControlPlaneServer({}, { tlsCert, tlsKey });
  const alerts = () =>
    server.rows<{ text: string; resolvedAt: number | null }>(
      "SELECT text, resolved_at AS resolvedAt FROM alerts WHERE rule = 'certificateExpires'",
    );
  try {
    await server.start();
    await waitFor('the alert', () => alerts().length === 1, { timeoutMs: 60_000 });
    expect(alerts()[0]?.text).toMatch(/cert\.pem is good for 9 days/);
    await server.stop();
    goodFor(90);
    await server.start();
    await waitFor('its end', () => alerts()[0]?.resolvedAt !== null, { timeoutMs: 60_000 });
    expect(alerts()).toHaveLength(1);
  } finally {
    await server.remove();
    rmSync(directory, { recursive: true, force: true });
  }
}, 200_000);
