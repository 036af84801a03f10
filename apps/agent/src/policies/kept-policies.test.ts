import type { PushedPolicy } from '@strideiq/protocol';
import { waitFor } from '@strideiq/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Host } from '../compose.ts';
import { ScriptedControlPlane } from '../testing/scripted-control-plane.ts';
import { TestAgent } from '../testing/test-agent.ts';
import { policyOf } from './kept-policies.ts';

let controlPlane: ScriptedControlPlane;
let agent: TestAgent;
beforeEach(async () => {
  controlPlane = new ScriptedControlPlane();
  await controlPlane.start();
  const app = { connection: { host: '127.0.0.1', port: 1, user: 'nobody' }, stores: ['local'], schedule: '0 3 * * *' };
  agent = new TestAgent({ controlPlane, databases: { app } });
});
afterEach(async () => {
  await agent.remove();
  await controlPlane.stop();
});

const pushed = (version: number, policy: object, pins: PushedPolicy['pins'] = []) => ({
  policies: [{ databaseId: agent.databaseId(), version, policy: { ...policy }, pins }],
});
const app = (host: Host) => host.configuration.databases['app'] ?? expect.unreachable();
const version = (host: Host) => host.policies.of(agent.databaseId()).version;

/** The host as a command has it while nobody is connected. */
async function withHost<T>(work: (host: Host) => T): Promise<T> {
  const host = await agent.open();
  try {
    return work(host);
  } finally {
    host.close();
  }
}

test('the control plane’s policy is in force at once, and after a restart without it; what it says not is not its own', async () => {
  controlPlane.policies = { policies: [] };
  const host = await agent.start();
  await waitFor('the connection', () => controlPlane.hellos.length === 1);
  expect(app(host).schedule).toMatchObject([{ cron: '0 3 * * *' }]);
  controlPlane.tellPolicies(
    pushed(3, { schedule: ['0 * * * *'], retention: { local: { days: 3 } }, drill: { schedule: '0 4 * * 0' } }, [
      { objectName: 'app_20260111_030000.sql.gz', reason: 'an audit', until: null },
    ]),
  );
  await waitFor('the policy', () => version(host) === 3);
  expect(app(host)).toMatchObject({
    schedule: [{ cron: '0 * * * *' }],
    retention: { local: { days: 3 } },
    drill: { schedule: '0 4 * * 0', sampledRows: 200_000 },
    connection: { port: 1 },
  });
  await waitFor('that it is told', () => controlPlane.heartbeats.at(-1)?.databases[0]?.policyVersion === 3);
  await agent.stop();
  await controlPlane.stop();
  await withHost((again) => {
    expect(app(again).schedule).toMatchObject([{ cron: '0 * * * *' }]);
    const pin = { backupId: 'app_20260111_030000', reason: 'an audit', until: null };
    expect(again.policies.of(agent.databaseId())).toEqual({ version: 3, pins: [pin] });
    const [said] = Object.values(again.policies.file.databases).map(policyOf);
    expect(said).toMatchObject({ schedule: [{ cron: '0 3 * * *' }] });
  });
});

test('the scheduler goes by a policy as soon as it has come', async () => {
  controlPlane.policies = pushed(1, {});
  const host = await agent.start();
  await waitFor('the first', () => version(host) === 1);
  controlPlane.tellPolicies(pushed(2, { schedule: ['* * * * *'], timezone: 'Europe/Berlin' }));
  await waitFor('its line', () => host.journal.schedules.followed(`${agent.databaseId()} Europe/Berlin * * * * *`));
  controlPlane.tellPolicies(pushed(3, { schedule: [] }));
  await waitFor(
    'that the line is forgotten',
    () => host.journal.schedules.followed(`${agent.databaseId()} Europe/Berlin * * * * *`) === undefined,
  );
  expect(version(host)).toBe(3);
});

test('of one that does not fit the file the rest is gone by; one that cannot be read leaves the last; both are said', async () => {
  controlPlane.policies = pushed(1, { schedule: ['0 * * * *'] });
  const host = await agent.start();
  await waitFor('the first', () => version(host) === 1);
  controlPlane.tellPolicies(
    pushed(2, { schedule: ['0 5 * * *'], retention: { tape: { days: 3 }, local: { days: 14 } } }),
  );
  await waitFor('the second', () => version(host) === 2);
  expect(app(host)).toMatchObject({ schedule: [{ cron: '0 5 * * *' }], retention: { local: { days: 14 } } });
  expect(app(host).retention).not.toHaveProperty('tape');
  expect(agent.said.some((line) => line.includes('"tape"'))).toBe(true);
  const pin = { objectName: 'app_20260111_030000.sql.gz', reason: 'an audit', until: null };
  controlPlane.tellPolicies(pushed(3, { schedule: 'whenever' }, [pin]));
  await waitFor('that it is said', () =>
    agent.said.some((line) => /version 3 .*cannot be read.*goes on by version 2/.test(line)),
  );
  expect(version(host)).toBe(2);
  expect(host.policies.of(agent.databaseId()).pins).toMatchObject([{ backupId: 'app_20260111_030000' }]);
  await agent.stop();
  await withHost((again) => {
    expect(app(again).retention).toEqual({ local: { days: 14 } });
  });
});

test('the first of all that cannot be read leaves the file in force, and is said once', async () => {
  controlPlane.policies = pushed(1, { schedule: 'whenever' });
  const host = await agent.start();
  const ofIt = () => agent.said.filter((line) => line.includes('cannot be read'));
  await waitFor('that it is said', () => ofIt()[0]);
  controlPlane.tellPolicies(pushed(2, {}));
  await waitFor('the next', () => version(host) === 2);
  expect(ofIt()).toHaveLength(1);
  expect(ofIt()[0]).toMatch(/version 1 .*this host's file is gone by: schedule /);
});

test('those that cannot be written down are brought again by the next connection', async () => {
  controlPlane.policies = pushed(1, {});
  const host = await agent.start();
  await waitFor('the first', () => version(host) === 1);
  agent.sql(`CREATE TRIGGER full BEFORE INSERT ON policies BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END`);
  controlPlane.tellPolicies(pushed(2, {}));
  await waitFor('that it is said', () => agent.said.some((line) => line.includes('could not be written down')));
  expect(version(host)).toBe(1);
  agent.sql('DROP TRIGGER full');
  await waitFor('the second', () => version(host) === 2);
});

test('one that is older than before is not gone by, and said', async () => {
  controlPlane.policies = pushed(5, {});
  const host = await agent.start();
  await waitFor('the fifth', () => version(host) === 5);
  controlPlane.tellPolicies(pushed(2, { catchUp: false }));
  await waitFor('that it is said', () => agent.said.some((line) => line.includes('went back to version 2')));
  expect([version(host), app(host).catchUp]).toEqual([5, true]);
  controlPlane.tellPolicies(pushed(6, { catchUp: false }));
  await waitFor('the next', () => version(host) === 6);
});

test('of a control plane that keeps none nothing is asked, and one that sends what is none changes nothing', async () => {
  const host = await agent.start();
  await waitFor('the connection', () => controlPlane.settled.length === 1);
  expect(version(host)).toBeUndefined();
  await agent.stop();
  controlPlane.policies = pushed(1, {});
  const again = await agent.start();
  await waitFor('the first', () => version(again) === 1);
  controlPlane.tellPolicies({ policies: [{ databaseId: 'none' }] } as never);
  // What the server itself would refuse to send ends nothing.
  controlPlane.tellPolicies(pushed(2, {}));
  await waitFor('the second', () => version(again) === 2);
});
