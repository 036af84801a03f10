import { CodedError, newId } from '@strideiq/core';
import { commandKinds } from '@strideiq/protocol';
import { startTcpProxy, waitFor, type TcpProxy } from '@strideiq/testkit';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Journal } from '../journal/journal.ts';
import { ScriptedControlPlane } from '../testing/scripted-control-plane.ts';
import { TestAgent } from '../testing/test-agent.ts';

let controlPlane: ScriptedControlPlane;
let proxy: TcpProxy;
let agent: TestAgent;
beforeEach(async () => {
  controlPlane = new ScriptedControlPlane();
  await controlPlane.start();
  proxy = await startTcpProxy({ to: { host: '127.0.0.1', port: controlPlane.port } });
  agent = new TestAgent({ controlPlane, url: `http://127.0.0.1:${proxy.port}` });
});
afterEach(async () => {
  await agent.remove();
  await proxy.stop();
  await controlPlane.stop();
});

const line = { at: new Date(0).toISOString(), level: 'info' as const, text: 'a line' };
const write = (journal: Journal, reports: number) => {
  for (let n = 0; n < reports; n++) journal.outbox.write('log', { runId: newId(n), lines: [line] });
};
const seqs = (reports: { seq: number }[]) => reports.map(({ seq }) => seq);
const upTo = (last: number, first = 1) => Array.from({ length: last - first + 1 }, (_, at) => first + at);
const delivered = async (reports: number) =>
  waitFor(`${reports} reports`, () => controlPlane.recorded.length >= reports, { timeoutMs: 60_000 });
const settled = async (times = 1) =>
  waitFor('settled', () => controlPlane.settled.length >= times, { timeoutMs: 60_000 });

describe('a connection', () => {
  test('begins with hello, delivers what waits, says that it has, and takes commands from then on', async () => {
    agent.withJournal((journal) => write(journal, 3));
    await agent.start();
    await waitFor('the subscription', () => controlPlane.connections[0]?.said.includes('commands'));
    expect(controlPlane.connections[0]?.said).toEqual(['hello', 'report', 'settled', 'commands']);
    expect(seqs(controlPlane.recorded)).toEqual([1, 2, 3]);
    expect(controlPlane.settled).toEqual([{ openRunIds: [], openCommandIds: [] }]);
    const [hello] = controlPlane.hellos;
    expect(hello).toMatchObject({
      protocol: { min: 1, max: 1 },
      lastSeq: 3,
      commandKinds: [...commandKinds],
      databases: [{ name: 'app', stores: [{ name: 'local', type: 'directory', location: agent.backups }] }],
    });
    expect(hello?.reachableStoreIds).toEqual(hello?.databases[0]?.stores.map(({ storeId }) => storeId));
  });

  test('tells what was measured, and that a server cannot be reached', async () => {
    await agent.start();
    const heartbeat = await waitFor('facts', () =>
      controlPlane.heartbeats.find(({ databases }) => databases.length > 0),
    );
    expect(heartbeat).toMatchObject({
      databases: [
        { databaseId: agent.databaseId(), reachable: false, error: expect.stringContaining('127.0.0.1:1') as string },
      ],
      stores: [{ freeBytes: expect.any(Number) as number }],
    });
  });

  test('brings within a moment what another process of this host writes', async () => {
    await agent.start();
    await settled();
    const runId = newId(1);
    const script = `
      const { openJournal } = await import(${JSON.stringify(join(import.meta.dirname, '../journal/open-journal.ts'))});
      const { Journal } = await import(${JSON.stringify(join(import.meta.dirname, '../journal/journal.ts'))});
      const journal = new Journal(openJournal(${JSON.stringify(agent.stateDir)}), Date.now);
      journal.outbox.write('log', { runId: ${JSON.stringify(runId)}, lines: [] });
      journal.close();`;
    await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
    await waitFor('its report', () => controlPlane.recorded.length > 0, { timeoutMs: 2000 });
    expect(controlPlane.told('log')).toEqual([{ runId, lines: [] }]);
  });

  test('leaves nothing open when the agent stops, and brings the last words first', async () => {
    const host = await agent.start();
    await settled();
    write(host.journal, 700);
    await agent.stop();
    expect(controlPlane.recorded.length).toBe(700);
    await waitFor('no connection', () => controlPlane.open === 0 && proxy.connections === 0);
    expect(agent.said.at(-1)).toMatch(/stopped$/);
  });
});

describe('reports', () => {
  test('come in order and none is missing, however often the line is cut in the middle of them', async () => {
    const host = await agent.start();
    let cuts = 0;
    controlPlane.beforeAnswer = () => {
      // Recorded, and the answer never arrives.
      if (cuts++ % 3 === 1) proxy.cut();
    };
    for (let round = 0; round < 12; round++) {
      write(host.journal, 50);
      agent.withJournal((journal) => write(journal, 50));
      await delivered((round + 1) * 100);
    }
    await waitFor('no report that waits', () => host.journal.outbox.outstanding().waiting === 0, { timeoutMs: 60_000 });
    expect(seqs(controlPlane.recorded)).toEqual(upTo(1200));
    expect(controlPlane.mostAtOnce).toBe(1);
    expect(controlPlane.connections.length).toBeGreaterThan(2);
    for (const { said } of controlPlane.connections) expect(said[0]).toBe('hello');
  }, 120_000);

  test('that were recorded, and whose answer was lost, are not sent again', async () => {
    controlPlane.beforeAnswer = () => proxy.cut();
    agent.withJournal((journal) => write(journal, 5));
    const host = await agent.start();
    await settled();
    expect(seqs(controlPlane.received)).toEqual([1, 2, 3, 4, 5]);
    expect(host.journal.outbox.outstanding().waiting).toBe(0);
  });

  test('that were acknowledged are sent again to a catalog that was put back from an older copy', async () => {
    agent.withJournal((journal) => write(journal, 5));
    await agent.start();
    await settled();
    const [journalId = ''] = controlPlane.marks.keys();
    controlPlane.marks.set(journalId, 2);
    controlPlane.recorded.splice(2);
    controlPlane.cut();
    await settled(2);
    expect(seqs(controlPlane.recorded)).toEqual([1, 2, 3, 4, 5]);
    // The mark alone was lost: all is known by its id.
    controlPlane.marks.clear();
    controlPlane.cut();
    await settled(3);
    expect(controlPlane.recorded.length).toBe(5);
    expect(controlPlane.received.length).toBe(13);
  });

  test('of a state directory that was set back are told as another journal', async () => {
    agent.withJournal((journal) => write(journal, 5));
    await agent.start();
    await settled();
    const [journalId = ''] = controlPlane.marks.keys();
    // As if seven had been delivered from here, of which this directory knows nothing.
    controlPlane.marks.set(journalId, 7);
    agent.withJournal((journal) => write(journal, 4));
    await delivered(9);
    controlPlane.marks.set(journalId, 12);
    controlPlane.cut();
    await settled(2);
    expect([...controlPlane.marks.keys()].length).toBe(2);
    expect(controlPlane.hellos.at(-1)).toMatchObject({ lastSeq: 9 });
    expect(controlPlane.recorded.length).toBe(9);
    expect(agent.said.join('\n')).toContain('the state directory was set back');
  });

  test('that are rejected are set aside with their reason, and hold up none behind them', async () => {
    controlPlane.reject = ({ seq }) => (seq === 2 ? { code: 'NotOwner', text: 'It is another’s.' } : undefined);
    agent.withJournal((journal) => write(journal, 3));
    const host = await agent.start();
    await settled();
    expect(seqs(controlPlane.recorded)).toEqual([1, 2, 3]);
    expect(host.journal.outbox.outstanding()).toMatchObject({ waiting: 0, rejected: [{ seq: 2, code: 'NotOwner' }] });
    expect(agent.said.join('\n')).toMatch(/does not take report 2 \(log\): NotOwner: It is another’s/);
  });

  test('that cannot even be read there are found out among the others, and hold up none', async () => {
    agent.withJournal((journal) => {
      write(journal, 9);
      journal.outbox.write('x'.repeat(200) as 'log', { runId: newId(1), lines: [] });
      write(journal, 9);
    });
    const host = await agent.start();
    await settled();
    expect(seqs(controlPlane.recorded)).toEqual([...upTo(9), ...upTo(19, 11)]);
    expect(host.journal.outbox.outstanding()).toMatchObject({
      waiting: 0,
      rejected: [{ seq: 10, code: 'MessageInvalid' }],
    });
  });
});

describe('a connection that is not what it should be is given up, and another one made', () => {
  test.each([
    ['the subscription is refused', () => (controlPlane.refuseSubscription = new CodedError('Unexpected', 'Later.'))],
    ['the subscription ends', () => (controlPlane.endSubscription = true)],
    ['hello is refused', () => (controlPlane.refuseHello = new CodedError('Unexpected', 'Later.'))],
  ])('%s', async (_, fault) => {
    fault();
    await agent.start();
    await waitFor('three tries', () => controlPlane.connections.length >= 3, { timeoutMs: 30_000 });
    controlPlane.refuseSubscription = undefined;
    controlPlane.refuseHello = undefined;
    controlPlane.endSubscription = false;
    const command = agent.command('drill');
    controlPlane.send(command);
    await waitFor('a command that arrives', () => controlPlane.acknowledged.includes(command.commandId), {
      timeoutMs: 30_000,
    });
    expect(controlPlane.open).toBe(1);
  });

  test('the line is dead, and says nothing of it: noticed within half a minute', async () => {
    await agent.start();
    await settled();
    await proxy.set({ blackHole: true });
    await waitFor('a new connection', () => proxy.accepted >= 2, { timeoutMs: 30_000 });
    await proxy.set({});
    await settled(2);
    expect(controlPlane.connections.length).toBe(2);
  }, 90_000);

  test('the control plane is away for a while: it is said once, and all is told afterwards', async () => {
    const host = await agent.start();
    await settled();
    await controlPlane.stop();
    write(host.journal, 3);
    await waitFor('three tries', () => proxy.accepted >= 4, { timeoutMs: 30_000 });
    await controlPlane.start();
    await delivered(3);
    const lost = agent.said.filter((each) => / warn /.test(each));
    expect(new Set(lost).size).toBe(lost.length);
    expect(agent.said.filter((each) => each.includes('connected to')).length).toBe(2);
    expect(host.journal.outbox.link).toMatchObject({ connected: true });
  });
});

describe('what is refused for good', () => {
  test('is said once, and a new credential is noticed at once', async () => {
    agent.enrol('another-credential-that-is-not-good');
    const host = await agent.start();
    await waitFor('the refusal', () => host.journal.outbox.link?.code === 'CredentialInvalid');
    expect(host.journal.outbox.link).toMatchObject({ connected: false });
    agent.enrol(controlPlane.credential);
    await settled();
    expect(agent.said.filter((each) => each.includes(' error ')).length).toBe(1);
    expect(agent.said.join('\n')).not.toContain('another-credential');
  });

  test.each([
    ['another environment', () => void (controlPlane.environment = 'production'), 'EnvironmentMismatch'],
    [
      'no common protocol',
      () => void (controlPlane.refuseHello = new CodedError('ProtocolUnsupported', 'Upgrade the agent.')),
      'ProtocolUnsupported',
    ],
  ])('%s: as an error, and with what to do', async (_, fault, code) => {
    fault();
    agent.withJournal((journal) => write(journal, 1));
    const host = await agent.start();
    await waitFor('the refusal', () => host.journal.outbox.link?.code === code);
    expect(agent.said.filter((each) => each.includes(' error ')).length).toBe(1);
    expect(controlPlane.recorded).toEqual([]);
  });
});

test('the time of the control plane is learnt from its answers', async () => {
  controlPlane.clockOffsetMs = 3_600_000;
  const host = await agent.start();
  await settled();
  const offset = host.journal.outbox.link?.clockOffsetMs ?? 0;
  expect(Math.abs(offset - 3_600_000)).toBeLessThan(10_000);
});
