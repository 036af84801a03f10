import { once as oneChunk, openS3Store, type Store } from '@strideiq/storage';
import {
  createSampleDatabase,
  startPostgres,
  startS3,
  waitFor,
  type PostgresCluster,
  type S3Server,
} from '@strideiq/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AgentHost, type RunningAgent } from './agent-host.ts';
import { CliUser } from './cli-user.ts';
import { ControlPlaneServer } from './control-plane-server.ts';

/** What is made when, and what is kept: by `strideiq`, with a host and a bucket that are both real. */

let cluster: PostgresCluster;
let s3: S3Server;
let server: ControlPlaneServer;
let host: AgentHost;
let daemon: RunningAgent;
let user: CliUser;
let bucket: Store;

interface Kept {
  version: number;
  runs: number | null;
  policy: { schedule: { cron: string; stores?: string[] }[]; retention: Record<string, object>; pause?: object };
}

const app = 'production/running_app';

beforeAll(async () => {
  [cluster, s3] = await Promise.all([startPostgres(), startS3()]);
  await createSampleDatabase(cluster, 'running_app', { scaleMb: 1 });
  await s3.createBucket('backups');
  const keys = { KEPT_ID: s3.accessKey, KEPT_SECRET: s3.secretKey };
  const credentials = { accessKeyIdEnv: 'KEPT_ID', secretAccessKeyEnv: 'KEPT_SECRET' };
  server = new ControlPlaneServer(keys, { stores: [{ bucket: 'backups', endpoint: s3.endpoint, credentials }] });
  await server.start();
  user = new CliUser();
  await user.json('login', '--url', server.url, '--key-file', `${server.dataDirectory}/admin.key`);
  host = new AgentHost({
    cluster,
    database: 'running_app',
    environment: 'production',
    controlPlane: server.url,
    s3: { server: s3, endpoint: s3.endpoint, bucket: 'backups' },
  });
  daemon = await server.enrol(host);
  bucket = await openS3Store({
    bucket: 'backups',
    prefix: 'backups/',
    endpoint: s3.endpoint,
    credentials: { accessKeyId: s3.accessKey, secretAccessKey: s3.secretKey },
  });
}, 240_000);

afterAll(async () => {
  daemon?.process.kill('SIGTERM');
  await daemon?.result;
  await server?.remove();
  for (const each of [host, user]) each?.remove();
  bucket?.close();
  await Promise.all([cluster?.stop(), s3?.stop()]);
});

const shown = async () => user.json<Kept>('policy', 'show', app);

test('a policy is shown, changed part by part, gone by at once, and its history tells who did what', async () => {
  expect(await shown()).toMatchObject({ version: 1, policy: { schedule: [], retention: {} } });
  await user.json(
    'policy',
    'set',
    app,
    '--schedule',
    'local=0 * * * *',
    '--schedule',
    '0 3 * * *',
    '--keep',
    's3=days:30,monthly:12',
  );
  await user.json('policy', 'set', app, '--timezone', 'Europe/Berlin', '--run-limit', '6h', '--drill', '0 6 * * 6');
  const told = ['--goal', 'all=rpo:12h', '--goal', 'dataDeletion=rto:none', '--alert', 'diskFree=20GB'];
  await user.json('policy', 'set', app, ...told, '--alert', 'rowsLost=0.3', '--alert', 'drillOverdue=off');
  const kept = await waitFor('the agent to go by it', async () => {
    const now = await shown();
    return now.runs === now.version ? now : undefined;
  });
  expect(kept).toMatchObject({
    version: 4,
    policy: {
      schedule: [{ cron: '0 * * * *', stores: ['local'] }, { cron: '0 3 * * *' }],
      retention: { s3: { days: 30, monthly: 12 } },
      timezone: 'Europe/Berlin',
      runLimitMs: 6 * 3_600_000,
      drill: { schedule: '0 6 * * 6' },
      objectives: { databaseCorruption: { rpoMs: 12 * 3_600_000, rtoMs: 3_600_000 }, dataDeletion: { rtoMs: null } },
      alerts: { diskFreeBytes: 20_000_000_000, rowsLost: 0.3, off: ['drillOverdue'] },
    },
  });
  const { stdout } = await user.run(['policy', 'show', app]);
  expect(stdout).toMatch(/^production\/running_app: version 4, since .*\n/);
  expect(stdout).toMatch(/backup +0 \* \* \* \* into local \(Europe\/Berlin\)\n/);
  expect(stdout).toMatch(/keep +s3: days:30,monthly:12\n/);
  const history = await user.run(['policy', 'history', app]);
  expect(
    history.stdout
      .trim()
      .split('\n')
      .map((line) => line.slice(0, 9).trim()),
  ).toEqual(['VERSION', '4', '3', '2', '1']);
  // And on the host itself.
  const doctor = await host.run('doctor');
  expect(doctor.stdout).toMatch(/policy.*version 4 of the control plane's; what this file says .* is another/);
});

test('a pause and its end; what the host’s file says is taken when somebody asks for it', async () => {
  await user.json('policy', 'pause', app, '--until', '3h', '--reason', 'a migration');
  expect((await shown()).policy.pause).toMatchObject({ reason: 'a migration' });
  await user.json('policy', 'resume', app);
  expect((await shown()).policy.pause).toBeUndefined();
  await user.json('policy', 'set', app, '--from-host');
  expect((await shown()).policy).toMatchObject({ schedule: [], retention: {} });
});

test.each([
  [['policy', 'set', app, '--schedule', '@daily'], 2, 'five fields'],
  [['policy', 'set', app, '--keep', 'tape=days:3'], 2, 'names the store "tape", and it has local, s3'],
  [['policy', 'set', app, '--keep', 's3=3 days'], 2, 'does not say what a store keeps'],
  [['policy', 'set', app], 2, 'What is to be different?'],
  [['policy', 'set', app, '--run-limit', 'long'], 2, 'no duration'],
  [
    ['policy', 'set', app, '--goal', 'fire=rto:1h'],
    2,
    'databaseCorruption, infrastructureFailure, dataDeletion, or all',
  ],
  [['policy', 'set', app, '--alert', 'rowLost=0.3'], 2, 'does not say from when on somebody is told'],
  [['policy', 'pause', app, '--until', 'soon', '--reason', 'x'], 2, 'no moment to come'],
  [['policy', 'show', 'nowhere'], 3, 'nowhere'],
  [['pin', 'latest', '--reason', 'x'], 2, 'of which database?'],
])('%j is refused, and changes nothing', async (args, code, said) => {
  const { version } = await shown();
  const answer = await user.run(args);
  expect(answer.stderr).toContain(said);
  expect(answer.code).toBe(code);
  expect((await shown()).version).toBe(version);
});

test('a backup is pinned, and what retention would do is shown with its reasons', async () => {
  for (let n = 0; n < 2; n++) await user.json('backup', app, '--watch');
  const pinned = await user.run(['pin', 'latest', '--database', app, '--reason', 'an audit', '--until', '90d']);
  expect(pinned.stdout).toMatch(/^running_app_\d+_\d+\.sql\.gz is kept until /);
  const preview = await user.run(['retention', 'preview', app]);
  expect(preview.stdout).toMatch(/local \(.*\), by its agent: 2 stay, 0 go\n/);
  expect(preview.stdout).toMatch(/s3 \(s3:\/\/backups\/.*\), by the control plane: 2 stay, 0 go\n/);
  expect(preview.stdout).toContain('it is pinned: an audit');
  expect(await user.run(['retention', 'apply', app, '--yes'])).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('Nothing is to go') as string,
  });
  expect((await user.run(['unpin', 'latest', '--database', app])).code).toBe(0);
  expect((await user.run(['retention', 'preview', app])).stdout).not.toContain('pinned');
});

test('what is deleted by hand, added, or written over in a bucket is told within one pass', async () => {
  const looked = await user.run(['drift', app, '--look']);
  expect(looked).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/s3 \(.*\), as of .*: nothing differs/) as string,
  });
  const keys = (await Array.fromAsync(bucket.list()))
    .map(({ key }) => key)
    .filter((key) => /^running_app_\d+_\d+\.sql\.gz$/.test(key));
  const [gone = '', short = ''] = keys;
  await bucket.delete(gone);
  await bucket.put(short, oneChunk(Buffer.from('short')), { replace: true });
  await bucket.put('notes.txt', oneChunk(Buffer.from('mine')));
  const { code, stdout } = await user.run(['drift', app, '--look']);
  expect(code).toBe(1);
  expect(stdout).toMatch(new RegExp(`missing +${gone} is not there any more`));
  expect(stdout).toMatch(new RegExp(`resized +${short} has 5 bytes`));
  expect(stdout).toMatch(/foreign +notes\.txt/);
  const { items } = await user.json<{ items: { objectName: string; copies: { store: string; state: string }[] }[] }>(
    'backups',
    app,
  );
  const states = items.map(({ objectName, copies }) => [objectName, copies.find(({ store }) => store === 's3')?.state]);
  expect(Object.fromEntries(states)).toEqual({ [gone]: 'missing', [short]: 'corrupt' });
});
