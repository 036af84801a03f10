import { newId } from '@strideiq/core';
import { waitFor } from '@strideiq/testkit';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ScriptedControlPlane } from '../testing/scripted-control-plane.ts';
import { TestAgent } from '../testing/test-agent.ts';

/** What became of a command cannot be written down for a while: it ends all the same, once that is possible again. */

let controlPlane: ScriptedControlPlane;
let agent: TestAgent;
/** A server that takes connections and says nothing. */
let silent: Server;
const sockets = new Set<Socket>();
beforeEach(async () => {
  controlPlane = new ScriptedControlPlane();
  await controlPlane.start();
  silent = createServer((socket) => void sockets.add(socket.on('error', () => undefined)));
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const { port } = silent.address() as AddressInfo;
  agent = new TestAgent({
    controlPlane,
    databases: { app: { connection: { host: '127.0.0.1', port, user: 'nobody' }, stores: ['local'] } },
  });
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  silent.close();
  await agent.remove();
  await controlPlane.stop();
});

const diskFull = () =>
  agent.sql(
    `CREATE TRIGGER full BEFORE UPDATE ON commands WHEN NEW.ended_at IS NOT NULL BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END`,
  );
const roomAgain = () => agent.sql('DROP TRIGGER full');
const said = async (text: string) => waitFor(text, () => agent.said.some((line) => line.includes(text)));

describe('the end of a command that cannot be written down', () => {
  test('for a run that could not begin, is written down later', async () => {
    const host = await agent.start();
    await waitFor('settled', () => controlPlane.settled[0]);
    diskFull();
    const command = agent.command('backup', { storeIds: [newId(1)] });
    controlPlane.send(command);
    await said('could not be written down');
    roomAgain();
    controlPlane.cut();
    const end = await waitFor('the end of the command', () => controlPlane.endOf(command.commandId));
    expect(end).toMatchObject({ state: 'refused', reason: { code: 'StoreUnknown' } });
    expect(host.journal.commands.open()).toEqual([]);
  });

  test('for one whose time was over when its turn came, harms nobody and is written down later', async () => {
    await agent.start();
    await waitFor('settled', () => controlPlane.settled[0]);
    const first = agent.command('backup');
    controlPlane.send(first);
    await waitFor('its run', () => controlPlane.run(first.runId ?? ''));
    diskFull();
    const second = agent.command('backup', {}, { expiresAt: new Date(Date.now() + 3000).toISOString() });
    controlPlane.send(second);
    await waitFor('the acknowledgement', () => controlPlane.acknowledged.includes(second.commandId));
    await said('database or disk is full');
    roomAgain();
    controlPlane.cut();
    const end = await waitFor('the end of the second', () => controlPlane.endOf(second.commandId));
    expect(end).toMatchObject({ state: 'expired' });
  });

  test('of a run that has ended, holds up no later run of its database', async () => {
    const command = agent.command('backup');
    const next = agent.command('backup');
    agent.withJournal((journal) => {
      const { runId = '', commandId, databaseId } = command;
      journal.commands.take(command);
      journal.commands.acknowledged(commandId);
      const run = { id: runId, kind: 'backup' as const, environment: 'test', database: 'app', databaseId };
      journal.callOff({ ...run, detail: { commandId } }, { code: 'Interrupted', text: 'So it was.' });
    });
    diskFull();
    controlPlane.send(next);
    await agent.start();
    await said('database or disk is full');
    roomAgain();
    const run = await waitFor('the next run', () => controlPlane.run(next.runId ?? ''));
    expect(run).toMatchObject({ state: 'running' });
  });
});
