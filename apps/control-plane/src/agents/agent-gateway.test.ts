import { waitFor } from '@strideiq/testkit';
import { eq } from 'drizzle-orm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { agents } from '../catalog/schema.ts';
import { startGateway, type TestGateway } from '../testing/gateway.ts';
import { TestHost } from '../testing/host.ts';

let gateway: TestGateway;
beforeEach(async () => {
  gateway = await startGateway();
});
afterEach(async () => await gateway.stop());

const rowOf = (agentId: string) => gateway.catalog.select().from(agents).where(eq(agents.id, agentId)).get();

describe('a connection', () => {
  test('is let in by its credential, and known as long as it lasts', async () => {
    const host = new TestHost(gateway, 'production', 'db1').enrol();
    expect(gateway.connections.stateOf(host.agentId)).toBeUndefined();
    const link = host.open();
    const welcome = await link.hello({ sentAt: new Date(gateway.now() + 90_000).toISOString() });
    expect(welcome).toEqual({
      protocol: 1,
      agentId: host.agentId,
      environment: 'production',
      serverTime: new Date(gateway.now()).toISOString(),
      highWater: 0,
      refusedDatabases: [],
    });
    expect(gateway.connections.stateOf(host.agentId)).toMatchObject({
      connectedAt: gateway.now(),
      clockOffsetMs: 90_000,
    });
    expect(rowOf(host.agentId)).toMatchObject({ connectedAt: gateway.now(), lastSeenAt: gateway.now() });
    gateway.clock.now += 5000;
    await link.close();
    await waitFor('the agent to be gone', () => !gateway.connections.isConnected(host.agentId));
    expect(rowOf(host.agentId)).toMatchObject({ connectedAt: null, lastSeenAt: gateway.now() });
  });

  test.each([
    ['a credential of nobody', 'siqa_0000000000000000000000000000000000000000000'],
    ['what is no credential', 'x'],
  ])('with %s is refused with the reason', async (_, credential) => {
    const link = new TestHost(gateway, 'production', 'db1').open(credential);
    expect(await link.closed).toContain('401 CredentialInvalid: The agent has no credential that is good here');
  });
});
