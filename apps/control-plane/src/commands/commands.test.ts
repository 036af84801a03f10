import { newId } from '@strideiq/core';
import { commandSchema, refusalOf } from '@strideiq/protocol';
import { waitFor } from '@strideiq/testkit';
import { eq } from 'drizzle-orm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { commands, databases, runs } from '../catalog/schema.ts';
import { startGateway, type TestGateway } from '../testing/gateway.ts';
import { TestHost, type TestLink } from '../testing/host.ts';

let gateway: TestGateway;
let host: TestHost;
beforeEach(async () => {
  gateway = await startGateway();
  host = new TestHost(gateway, 'production', 'db1').looksAfter('app').enrol();
  await (await host.connect()).close();
  await waitFor('the agent to be gone', () => !gateway.connections.isConnected(host.agentId));
});
afterEach(async () => await gateway.stop());

const requester = { keyId: 'key-1' };
const ask = async () => (await gateway.work.requestBackup({ databaseId: host.databaseId() }, requester)).runId;
const commandOf = (runId: string) => {
  const command = gateway.catalog.select().from(commands).where(eq(commands.runId, runId)).get();
  if (!command) throw new Error('no command');
  return command;
};
const stateOf = (runId: string) => {
  const run = gateway.catalog.select().from(runs).where(eq(runs.id, runId)).get();
  return `${commandOf(runId).state}, ${run?.state}`;
};
const received = async (link: TestLink, count: number) =>
  await waitFor(`${count} commands`, () => link.commands.length >= count && link.commands);

describe('a command', () => {
  test('waits while its agent is away, and is sent as soon as that is there', async () => {
    const runId = await ask();
    expect(stateOf(runId)).toBe('queued, queued');
    gateway.clock.now += 1000;
    const link = await host.connect();
    const [command] = await received(link, 1);
    expect(commandSchema.parse(command)).toEqual({
      commandId: commandOf(runId).id,
      runId,
      kind: 'backup',
      databaseId: host.databaseId(),
      issuedAt: new Date(gateway.now() - 1000).toISOString(),
      expiresAt: new Date(gateway.now() - 1000 + 3_600_000).toISOString(),
      body: {},
    });
    expect(stateOf(runId)).toBe('delivered, dispatched');
    expect(commandOf(runId)).toMatchObject({ deliveredAt: gateway.now() });
  });

  test('is sent at once to an agent that is there', async () => {
    const link = await host.connect();
    const runId = await ask();
    expect(await received(link, 1)).toMatchObject([{ runId }]);
    const later = await ask();
    expect(await received(link, 2)).toMatchObject([{ runId }, { runId: later }]);
  });

  test('is sent again with every connection until it is acknowledged, and then no more', async () => {
    const runIds = [await ask(), await ask()];
    const first = await host.connect();
    await received(first, 2);
    await first.close();
    const second = await host.connect();
    await received(second, 2);
    expect(second.commands).toEqual(first.commands);
    const { id } = commandOf(runIds[0] ?? '');
    await second.api.acknowledge.mutate({ commandId: id });
    await second.api.acknowledge.mutate({ commandId: id });
    expect(stateOf(runIds[0] ?? '')).toBe('acknowledged, dispatched');
    await second.close();
    const third = await host.connect();
    await ask();
    expect((await received(third, 2)).map(({ runId }) => (runId === runIds[0] ? 'again' : 'other'))).toEqual([
      'other',
      'other',
    ]);
  });

  test('is sent once for each connection, however often there is news', async () => {
    const link = await host.connect();
    await ask();
    await received(link, 1);
    gateway.connections.wake(host.agentId);
    await ask();
    await received(link, 2);
    expect(new Set(link.commands.map(({ commandId }) => commandId)).size).toBe(link.commands.length);
  });

  test('is not sent once its time is over', async () => {
    const old = await ask();
    gateway.clock.now += 3_600_000;
    const runId = await ask();
    const link = await host.connect();
    expect(await received(link, 1)).toMatchObject([{ runId }]);
    expect(stateOf(old)).toBe('queued, queued');
  });

  test('is not sent to an agent that does not know its kind any more, and is to one that does again', async () => {
    const runId = await ask();
    const older = await host.connect({ commandKinds: ['verify'] });
    await older.api.settled.mutate({ openRunIds: [], openCommandIds: [] });
    expect(older.commands).toEqual([]);
    expect(stateOf(runId)).toBe('queued, queued');
    await received(await host.connect(), 1);
  });

  test('of another agent is as unknown as one that never was', async () => {
    const other = new TestHost(gateway, 'production', 'db2').looksAfter('other').enrol();
    const link = await other.connect();
    const { id } = commandOf(await ask());
    const refused = async (commandId: string) =>
      await link.api.acknowledge.mutate({ commandId }).catch((error: unknown) => refusalOf(error)?.message);
    const nothing = newId(1);
    expect(await refused(id)).toBe((await refused(nothing))?.replace(nothing, id));
    expect(commandOf(gateway.catalog.select().from(runs).get()?.id ?? '').state).toBe('queued');
    expect(link.commands).toEqual([]);
  });

  test('a newer subscription takes the place of the older', async () => {
    const link = await host.connect();
    await ask();
    await received(link, 1);
    link.subscribe();
    await received(link, 2);
    const runId = await ask();
    await waitFor('the new one', () => link.commands.some((command) => command.runId === runId));
    await link.api.settled.mutate({ openRunIds: [], openCommandIds: [] });
    expect(link.commands.filter((command) => command.runId === runId)).toHaveLength(1);
  });
});

describe('asking is refused before anything is made', () => {
  const refusedBy = async () => {
    const before = gateway.catalog.select().from(runs).all().length;
    const error = await ask().then(
      () => undefined,
      (error: unknown) => error as { code: string; message: string },
    );
    expect(gateway.catalog.select().from(runs).all()).toHaveLength(before);
    return error;
  };

  test('where the host does not allow it', async () => {
    gateway.catalog
      .update(databases)
      .set({ allow: ['verify'] })
      .run();
    expect(await refusedBy()).toMatchObject({
      code: 'ActionNotAllowed',
      message: 'The host db1 does not allow backup from afar on the database app.',
    });
  });

  test('where the agent does not know it', async () => {
    await host.open().hello({ commandKinds: ['verify'] });
    expect(await refusedBy()).toMatchObject({ code: 'CommandUnsupported' });
  });

  test('where the host looks after the database no more, or was revoked', async () => {
    await host.open().hello({ databases: [] });
    expect(await refusedBy()).toMatchObject({ code: 'ActionNotAllowed', message: expect.stringContaining('any more') });
    await host.open().hello();
    gateway.enrolment.revoke(host.agentId, 'local');
    expect(await refusedBy()).toMatchObject({ code: 'ActionNotAllowed', message: expect.stringContaining('revoked') });
  });

  test('where 100 wait already, until one of them is taken on', async () => {
    for (let at = 0; at < 100; at++) await ask();
    expect(await refusedBy()).toMatchObject({ code: 'TooManyCommands' });
    const link = await host.connect();
    const [first, second] = await received(link, 100);
    expect(await refusedBy()).toMatchObject({ code: 'TooManyCommands' });
    // What waits can be called off all the same.
    const { runId } = second as { runId: string };
    await gateway.work.cancelRun(runId, requester);
    expect(commandSchema.parse((await received(link, 101)).at(-1))).toMatchObject({ kind: 'cancel', body: { runId } });
    await link.api.acknowledge.mutate({ commandId: first?.commandId ?? '' });
    await ask();
  });
});
