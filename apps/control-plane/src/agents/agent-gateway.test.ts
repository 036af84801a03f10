import { newId } from '@strideiq/core';
import { agentPath, refusalOf } from '@strideiq/protocol';
import { startTcpProxy, waitFor } from '@strideiq/testkit';
import { eq } from 'drizzle-orm';
import { request } from 'node:http';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { openCatalog } from '../catalog/open-catalog.ts';
import { agents } from '../catalog/schema.ts';
import { Enrolment } from '../enrolment/enrolment.ts';
import { startGateway, type TestGateway } from '../testing/gateway.ts';
import { TestHost, TestLink } from '../testing/host.ts';

let gateway: TestGateway;
beforeEach(async () => {
  gateway = await startGateway();
});
afterEach(async () => await gateway.stop());

const rowOf = (agentId: string) => gateway.catalog.select().from(agents).where(eq(agents.id, agentId)).get();
const newHost = () => new TestHost(gateway, 'production', 'db1').looksAfter('app').enrol();

/** The code of what an agent was refused by. */
async function refusal(asked: Promise<unknown>): Promise<string | undefined> {
  return await asked.then(
    () => undefined,
    (error: unknown) => refusalOf(error)?.code ?? String(error),
  );
}

describe('a connection', () => {
  test('is let in by its credential, and known as long as it lasts', async () => {
    const host = new TestHost(gateway, 'production', 'db1').enrol();
    expect(gateway.connections.stateOf(host.agentId)).toBeUndefined();
    const link = host.open();
    const welcome = await link.hello({ sentAt: new Date(gateway.now() + 90_000).toISOString() });
    expect(welcome).toEqual({
      keepsPolicies: true,
      protocol: 1,
      agentId: host.agentId,
      environment: 'production',
      serverTime: new Date(gateway.now()).toISOString(),
      highWater: 0,
      refusedDatabases: [],
    });
    const connectedAt = gateway.now();
    expect(gateway.connections.stateOf(host.agentId)).toMatchObject({ connectedAt, clockOffsetMs: 90_000 });
    expect(rowOf(host.agentId)).toMatchObject({ connectedAt, lastSeenAt: connectedAt });
    gateway.clock.now += 5000;
    await link.close();
    await waitFor('the agent to be gone', () => !gateway.connections.isConnected(host.agentId));
    expect(rowOf(host.agentId)).toMatchObject({ connectedAt: null, lastSeenAt: gateway.now() });
  });

  test('tells facts and the time with each heartbeat, which are gone with it', async () => {
    const host = newHost();
    const link = await host.connect();
    gateway.clock.now += 30_000;
    const facts = { databaseId: host.databaseId(), reachable: true, serverVersion: '15.14', sizeBytes: 5 };
    const stores = [{ storeId: host.storeId(), freeBytes: 7 }];
    const sentAt = new Date(gateway.now() - 2000).toISOString();
    const answer = await link.api.heartbeat.mutate({ sentAt, databases: [facts], stores });
    expect(answer).toEqual({ serverTime: new Date(gateway.now()).toISOString() });
    expect(gateway.connections.stateOf(host.agentId)).toMatchObject({
      lastSeenAt: gateway.now(),
      clockOffsetMs: -2000,
      heartbeat: { databases: [facts], stores },
    });
    await link.close();
    await waitFor('the agent to be gone', () => gateway.connections.stateOf(host.agentId) === undefined);
  });

  test.each([
    ['a credential of nobody', 'siqa_0000000000000000000000000000000000000000000'],
    ['what is no credential', 'x'],
  ])('with %s is refused with the reason', async (_, credential) => {
    const link = new TestHost(gateway, 'production', 'db1').open(credential);
    expect(await link.closed).toContain('401 CredentialInvalid: The agent has no credential that is good here');
  });

  test('without a credential is refused too, and other paths and requests are not its business', async () => {
    const { host } = new URL(gateway.url);
    const answerTo = async (text: string): Promise<string> => {
      const [name = '', port = ''] = host.split(':');
      const socket = connect(Number(port), name);
      socket.end(text);
      let said = '';
      for await (const chunk of socket) said += String(chunk);
      return said;
    };
    const upgrade = (path: string) =>
      `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`;
    expect(await answerTo(upgrade(agentPath))).toMatch(/^HTTP\/1.1 401 .*\r\nx-strideiq-error: CredentialInvalid: /s);
    expect(await answerTo(upgrade('/agents'))).toMatch(/^HTTP\/1.1 404 /);
    expect(await (await fetch(gateway.url)).text()).toBe('the rest of the control plane');
  });

  test('takes the place of an older one of the same agent, whose end says nothing of the newer', async () => {
    const host = newHost();
    const older = await host.connect();
    gateway.clock.now += 1000;
    const newer = await host.connect();
    await older.closed;
    expect(gateway.connections.stateOf(host.agentId)).toMatchObject({ connectedAt: gateway.now() });
    await newer.api.settled.mutate({ openRunIds: [], openCommandIds: [] });
    await waitFor('the older one to be told of', () => gateway.said.some(({ text }) => text.endsWith('disconnected')));
    expect(rowOf(host.agentId)).toMatchObject({ connectedAt: gateway.now() });
  });

  test('ends at the next message once its credential was revoked by another process', async () => {
    const host = newHost();
    const link = await host.connect();
    const other = openCatalog(gateway.dataDir);
    new Enrolment({ catalog: other, now: gateway.now, connections: { disconnect: () => {} } }).revoke(
      host.agentId,
      'local',
    );
    other.$client.close();
    const settled = link.api.settled.mutate({ openRunIds: [], openCommandIds: [] });
    await expect(settled).rejects.toMatchObject({ name: 'TRPCClientError' });
    await link.closed;
  });

  test('that falls silent is noticed within 30 s', async () => {
    const host = newHost();
    const proxy = await startTcpProxy({ to: { host: '127.0.0.1', port: Number(new URL(gateway.url).port) } });
    const link = new TestLink(host, `http://127.0.0.1:${proxy.port}`, host.credential);
    await link.hello();
    await proxy.set({ blackHole: true });
    const options = { timeoutMs: 30_000 };
    await waitFor('the agent to be gone', () => !gateway.connections.isConnected(host.agentId), options);
    expect(await link.closed).not.toBe('');
    await proxy.stop();
  });
});

describe('hello', () => {
  test('comes first: everything else before it is refused', async () => {
    const host = newHost();
    const link = host.open();
    const sentAt = new Date(gateway.now()).toISOString();
    const commandId = newId(gateway.now());
    const calls = [
      link.send(host.report('command', { commandId, state: 'done' })),
      link.api.settled.mutate({ openRunIds: [], openCommandIds: [] }),
      link.api.heartbeat.mutate({ sentAt, databases: [], stores: [] }),
      link.api.progress.mutate({ runs: [] }),
      link.api.acknowledge.mutate({ commandId }),
      link.api.sourceUrls.mutate({ commandId }),
      link.api.presigned.mutate({ commandId }),
      new Promise((_, reject) => {
        link.api.commands.subscribe(undefined, { onError: reject });
      }),
    ];
    expect(await Promise.all(calls.map(refusal))).toEqual(calls.map(() => 'HelloMissing'));
    expect(await link.hello()).toMatchObject({ highWater: 0 });
    await link.api.settled.mutate({ openRunIds: [], openCommandIds: [] });
  });

  test('speaks the newest version that both know', async () => {
    expect(
      await newHost()
        .open()
        .hello({ protocol: { min: 1, max: 2 } }),
    ).toMatchObject({ protocol: 1 });
  });

  test.each([
    [{ min: 2, max: 3 }, 'versions 2 to 3', 'Upgrade the control plane.'],
    [{ min: 2, max: 2 }, 'version 2', 'Upgrade the control plane.'],
  ])('is refused where there is none: %j', async (protocol, spoken, cure) => {
    const link = newHost().open();
    const error = await link.hello({ protocol }).catch((error: unknown) => refusalOf(error));
    expect(error).toMatchObject({
      code: 'ProtocolUnsupported',
      message: `This agent (0.1.0) speaks ${spoken} of the protocol, and this control plane version 1 of the protocol. ${cure}`,
    });
    expect(await refusal(link.api.settled.mutate({ openRunIds: [], openCommandIds: [] }))).toBe('HelloMissing');
  });
});

describe('what is too much', () => {
  /** A connection that says whatever it likes. */
  async function rawConnection(host: TestHost): Promise<WebSocket> {
    const headers = { authorization: `Bearer ${host.credential}` };
    const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}${agentPath}`, { headers });
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    return socket;
  }
  const closing = async (socket: WebSocket) =>
    await new Promise<number>((resolve) => socket.on('error', () => {}).once('close', resolve));

  test('a message of more than 1 MiB ends the connection, and one below it does not', async () => {
    const host = newHost();
    const link = await host.connect();
    const lines = Array.from({ length: 100 }, () => ({
      at: '2026-11-24T08:00:00.000Z',
      level: 'info' as const,
      text: 'x'.repeat(8000),
    }));
    expect(await link.send(host.report('log', { runId: newId(1), lines }))).toMatchObject({
      answers: [{ answer: 'rejected', code: 'NotOwner' }],
    });
    const both = [host.report('log', { runId: newId(1), lines }), host.report('log', { runId: newId(1), lines })];
    await expect(link.send(...both)).rejects.toMatchObject({ name: 'TRPCClientError' });
    expect(await link.closed).toMatch(/1009|too (big|large)/i);
    await waitFor('the agent to be gone', () => !gateway.connections.isConnected(host.agentId));
  });

  test('texts that are no messages change nothing, and the connection stays', async () => {
    const host = newHost();
    const socket = await rawConnection(host);
    const answers: string[] = [];
    socket.on('message', (data) => answers.push((data as Buffer).toString()));
    for (const text of [
      '',
      'x',
      '[]',
      'null',
      '{"id":1}',
      '{"id":2,"method":"mutation","params":{"path":"__proto__"}}',
    ]) {
      socket.send(text);
    }
    socket.send(Buffer.from([1, 2, 3]));
    socket.send('PING');
    await waitFor('an answer to the ping', () => answers.includes('PONG'));
    expect(gateway.connections.isConnected(host.agentId)).toBe(true);
    socket.terminate();
  });

  test('who asks and does not read the answers is cut off', async () => {
    const host = newHost();
    const socket = await rawConnection(host);
    const closed = closing(socket);
    const raw = (socket as unknown as { _socket: { pause: () => void } })._socket;
    raw.pause();
    const question = JSON.stringify({ id: 1, method: 'mutation', params: { path: 'x'.repeat(2000) } });
    const asked = () => {
      for (let at = 0; at < 200 && socket.readyState === WebSocket.OPEN; at++) socket.send(question);
      return !gateway.connections.isConnected(host.agentId);
    };
    // Sooner than its silence would be noticed.
    await waitFor('the connection to be ended', asked, { timeoutMs: 8000 });
    socket.terminate();
    expect(await closed).toBe(1006);
  });
});

describe('the end', () => {
  test('of the gateway ends every connection, and none is known for connected afterwards', async () => {
    const hosts = ['db1', 'db2', 'db3'].map((name) => new TestHost(gateway, 'production', name).enrol());
    const links = await Promise.all(hosts.map(async (host) => await host.connect()));
    await gateway.gateway.close();
    expect(await Promise.all(links.map(async ({ closed }) => await closed))).toEqual(
      links.map(() => 'the control plane stops'),
    );
    for (const { agentId } of hosts) expect(rowOf(agentId)).toMatchObject({ connectedAt: null });
    const upgrade = request(`${gateway.url}${agentPath}`, { headers: { connection: 'upgrade', upgrade: 'websocket' } });
    upgrade.on('error', () => {}).end();
    await new Promise((resolve) => upgrade.once('close', resolve));
    expect(gateway.connections.isConnected(hosts[0]?.agentId ?? '')).toBe(false);
  });

  test('of a process that was killed leaves nobody connected at the next start', async () => {
    const host = newHost();
    gateway.catalog.update(agents).set({ connectedAt: 5 }).run();
    gateway.connections.forgetFormer();
    expect(rowOf(host.agentId)).toMatchObject({ connectedAt: null });
  });
});
