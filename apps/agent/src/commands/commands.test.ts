import { newId } from '@strideiq/core';
import { waitFor } from '@strideiq/testkit';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ScriptedControlPlane } from '../testing/scripted-control-plane.ts';
import { TestAgent } from '../testing/test-agent.ts';

/** Commands that need no server to be judged; those that do real work are in `real-commands.test.ts`. */

let controlPlane: ScriptedControlPlane;
let agent: TestAgent;
beforeEach(async () => {
  controlPlane = new ScriptedControlPlane();
  await controlPlane.start();
  const connection = { host: '127.0.0.1', port: 1, user: 'nobody' };
  agent = new TestAgent({
    controlPlane,
    databases: {
      app: { connection, stores: ['local'] },
      shut: { connection, stores: ['other'], allow: ['verify', 'cancel'] },
    },
    stores: { other: { type: 'directory', path: '/nowhere/{database}' } },
  });
});
afterEach(async () => {
  await agent.remove();
  await controlPlane.stop();
});

const ended = async (commandId: string) => waitFor('the end of the command', () => controlPlane.endOf(commandId));
const acknowledged = async (commandId: string, times = 1) =>
  waitFor('the acknowledgement', () => controlPlane.acknowledged.filter((id) => id === commandId).length >= times);

describe('is refused, with its reason, and acknowledged all the same:', () => {
  test.each([
    ['a kind that this version does not know', () => agent.command('copy'), 'CommandUnsupported'],
    ['a body that is none of its kind', () => agent.command('verify', { backupId: 'x' }), 'CommandInvalid'],
    ['a backup without a run', () => ({ ...agent.command('cancel'), kind: 'backup' }), 'CommandInvalid'],
    ['a database of another host', () => agent.command('backup', {}, { database: 'theirs' }), 'DatabaseUnknown'],
    [
      'what the host’s file does not allow',
      () => agent.command('backup', {}, { database: 'shut' }),
      'ActionNotAllowed',
    ],
    [
      'a store that the database does not have',
      () => agent.command('backup', { storeIds: [newId(1)] }),
      'StoreUnknown',
    ],
  ])('%s', async (_, make, code) => {
    const command = make();
    controlPlane.send(command);
    await agent.start();
    expect(await ended(command.commandId)).toMatchObject({ state: 'refused', reason: { code } });
    await acknowledged(command.commandId);
    expect(agent.said.join('\n')).toMatch(/was refused|was not begun/);
    expect(controlPlane.told('run')).toEqual([]);
  });
});

test('what is no command at all harms nothing', async () => {
  const good = agent.command('drill');
  controlPlane.send({ ...good, commandId: 'not an id' });
  controlPlane.send(good);
  await agent.start();
  await ended(good.commandId);
  expect(controlPlane.connections.length).toBe(1);
});

test('a server that is not there fails the run, not the command', async () => {
  const command = agent.command('backup');
  controlPlane.send(command);
  await agent.start();
  expect(await ended(command.commandId)).toEqual({ commandId: command.commandId, state: 'done' });
  expect(controlPlane.statesOf(command.runId ?? '')).toEqual(['running', 'failed']);
  expect(controlPlane.run(command.runId ?? '')).toMatchObject({
    commandId: command.commandId,
    error: { code: 'ServerUnreachable' },
  });
});

describe('once for each id:', () => {
  test('an id that came before is acknowledged again and not repeated, also after a restart', async () => {
    const command = agent.command('backup');
    controlPlane.send(command);
    await agent.start();
    await ended(command.commandId);
    controlPlane.send(command);
    controlPlane.cut();
    await acknowledged(command.commandId, 2);
    await agent.stop();
    controlPlane.send(command);
    await agent.start();
    await acknowledged(command.commandId, 3);
    await agent.stop();
    expect(controlPlane.statesOf(command.runId ?? '')).toEqual(['running', 'failed']);
    expect(controlPlane.told('command').length).toBe(1);
  });

  test('another command for a run that there is already is refused', async () => {
    const first = agent.command('backup');
    const second = { ...agent.command('backup'), runId: first.runId ?? '' };
    controlPlane.send(first);
    await agent.start();
    await ended(first.commandId);
    controlPlane.send(second);
    expect(await ended(second.commandId)).toMatchObject({ state: 'refused', reason: { code: 'RunExists' } });
    expect(controlPlane.statesOf(first.runId ?? '').length).toBe(2);
  });

  test('what was written down and never acknowledged is acknowledged on the next connection, and then done', async () => {
    const command = agent.command('backup');
    agent.withJournal((journal) => journal.commands.take(command));
    await agent.start();
    await ended(command.commandId);
    expect(controlPlane.acknowledged).toEqual([command.commandId]);
    expect(controlPlane.connections[0]?.said.slice(0, 2)).toEqual(['hello', 'acknowledge']);
  });

  test('what a state directory that was set back holds for not begun is not begun: it may have been done since', async () => {
    const command = agent.command('backup');
    const journalId = agent.withJournal((journal) => {
      journal.commands.take(command);
      journal.commands.acknowledged(command.commandId);
      return journal.outbox.position().journalId;
    });
    // As if its run had been reported from here, of which this directory knows nothing.
    controlPlane.marks.set(journalId, 3);
    await agent.start();
    expect(await ended(command.commandId)).toMatchObject({ state: 'refused', reason: { code: 'StateSetBack' } });
    await waitFor('settled', () => controlPlane.settled[0]);
    expect(controlPlane.told('run')).toEqual([]);
  });

  test('what was acknowledged and never begun is begun at the next start', async () => {
    const command = agent.command('backup');
    agent.withJournal((journal) => {
      journal.commands.take(command);
      journal.commands.acknowledged(command.commandId);
    });
    await agent.start();
    expect(await ended(command.commandId)).toMatchObject({ state: 'done' });
    expect(controlPlane.run(command.runId ?? '')).toMatchObject({ state: 'failed' });
    expect(controlPlane.acknowledged).toEqual([]);
  });
});

describe('past its time, by the control plane’s clock and not by this host’s:', () => {
  const old = (kind: string, body: object, ageMs: number) => {
    const expiresAt = new Date(Date.now() - ageMs).toISOString();
    return agent.command(kind, body, { expiresAt });
  };

  test('it is not begun', async () => {
    controlPlane.clockOffsetMs = 7_200_000;
    // Good for another hour by this host's clock.
    const command = agent.command('backup');
    agent.withJournal((journal) => {
      journal.commands.take(command);
      journal.commands.acknowledged(command.commandId);
    });
    await agent.start();
    expect(await ended(command.commandId)).toMatchObject({ state: 'expired', reason: { code: 'CommandExpired' } });
    expect(controlPlane.told('run')).toEqual([]);
  });

  test('and what is past it by this host’s clock alone is done', async () => {
    controlPlane.clockOffsetMs = -7_200_000;
    const command = old('backup', {}, 3_600_000);
    controlPlane.send(command);
    await agent.start();
    expect(await ended(command.commandId)).toMatchObject({ state: 'done' });
  });

  test.each(['cancel', 'presign'])('%s is not done either', async (kind) => {
    const body = kind === 'cancel' ? { runId: newId(1) } : { storeId: newId(1), keys: ['a'], expiresInSeconds: 60 };
    const command = old(kind, body, 60_000);
    controlPlane.send(command);
    await agent.start();
    expect(await ended(command.commandId)).toMatchObject({ state: 'expired' });
    expect(controlPlane.presigned).toEqual([]);
  });

  test('what was never acknowledged is not acknowledged any more', async () => {
    const command = old('backup', {}, 60_000);
    agent.withJournal((journal) => journal.commands.take(command));
    await agent.start();
    expect(await ended(command.commandId)).toMatchObject({ state: 'expired' });
    expect(controlPlane.acknowledged).toEqual([]);
  });
});

describe('cancel', () => {
  const cancel = (runId = '', more = {}) => agent.command('cancel', { runId }, more);

  test('of a run that is over is done, and changes nothing', async () => {
    const command = agent.command('backup');
    controlPlane.send(command);
    await agent.start();
    await ended(command.commandId);
    const late = cancel(command.runId);
    controlPlane.send(late);
    expect(await ended(late.commandId)).toMatchObject({ state: 'done' });
    expect(controlPlane.statesOf(command.runId ?? '')).toEqual(['running', 'failed']);
  });

  test('of a run that is not heard of yet: it will not be begun', async () => {
    const command = agent.command('backup');
    const early = cancel(command.runId);
    controlPlane.send(early);
    await agent.start();
    await ended(early.commandId);
    controlPlane.send(command);
    expect(await ended(command.commandId)).toMatchObject({ state: 'done' });
    expect(controlPlane.statesOf(command.runId ?? '').at(-1)).toBe('cancelled');
    expect(controlPlane.run(command.runId ?? '')).toMatchObject({
      error: { code: 'Interrupted' },
      commandId: command.commandId,
    });
  });

  test('of a run that stands in the journal and was never begun ends it', async () => {
    const command = agent.command('restoreFresh', {
      backupId: newId(1),
      sourceDatabaseId: agent.databaseId(),
      source: { via: 'url', key: 'app_20260111_030000.sql.gz' },
      into: 'app_new',
    });
    const cancelling = cancel(command.runId);
    agent.withJournal((journal) => {
      journal.commands.take(command);
      journal.commands.take(cancelling);
      journal.commands.acknowledged(cancelling.commandId);
    });
    await agent.start();
    expect(await ended(command.commandId)).toMatchObject({ state: 'done' });
    expect(controlPlane.run(command.runId ?? '')).toMatchObject({
      kind: 'restore',
      state: 'cancelled',
      restore: { into: 'app_new' },
    });
  });

  test('of another database’s run is refused', async () => {
    const command = agent.command('backup');
    controlPlane.send(command);
    await agent.start();
    await ended(command.commandId);
    const other = cancel(command.runId, { database: 'shut' });
    controlPlane.send(other);
    expect(await ended(other.commandId)).toMatchObject({ state: 'refused', reason: { code: 'RunUnknown' } });
  });
});

describe('presign', () => {
  test('of a copy in a directory tells that nobody else can read it', async () => {
    await agent.start();
    const hello = await waitFor('hello', () => controlPlane.hellos[0]);
    const storeId = hello.databases[0]?.stores[0]?.storeId ?? '';
    const command = agent.command('presign', { storeId, keys: ['app_20260111_030000.sql.gz'], expiresInSeconds: 60 });
    controlPlane.send(command);
    expect(await ended(command.commandId)).toMatchObject({ state: 'refused', reason: { code: 'CopyUnreachable' } });
    expect(controlPlane.presigned).toMatchObject([
      { commandId: command.commandId, error: { code: 'CopyUnreachable' } },
    ]);
  });
});
