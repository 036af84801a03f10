import { newId } from '@strideiq/core';
import type { ReportBodies } from '@strideiq/protocol';
import { waitFor } from '@strideiq/testkit';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startReporting, type Reporting } from '../testing/reporting-host.ts';

let gateway: Reporting['gateway'];
let host: Reporting['host'];
let link: Reporting['link'];
let says: Reporting['says'];
let answersTo: Reporting['answersTo'];
let runRow: Reporting['runRow'];
let ask: Reporting['ask'];
let commandOf: Reporting['commandOf'];
beforeEach(async () => {
  ({ gateway, host, link, says, answersTo, runRow, ask, commandOf } = await startReporting());
});
afterEach(async () => await gateway.stop());

describe('a command', () => {
  const ended = (commandId: string, state: ReportBodies['command']['state'], reason?: { code: string; text: string }) =>
    host.report('command', { commandId, state, ...(reason ? { reason } : {}) });
  const reason = { code: 'ActionNotAllowed', text: 'agent.yaml says no' };

  test('that was done leaves its run to its own reports', async () => {
    const runId = await ask();
    const { id = '' } = commandOf(runId) ?? {};
    await waitFor('the command', () => link.commands.length === 1);
    expect(await answersTo(ended(id, 'done'))).toEqual(['accepted']);
    expect(commandOf(runId)).toMatchObject({ state: 'done', endedAt: gateway.now() });
    expect(runRow(runId)).toMatchObject({ state: 'dispatched' });
  });

  test('that was done and never sent, since the catalog was set back, leaves no run that waits for ever', async () => {
    await link.close();
    await waitFor('the agent to be gone', () => !gateway.connections.isConnected(host.agentId));
    const runId = await ask();
    const back = host.open();
    await back.hello();
    await back.send(ended(commandOf(runId)?.id ?? '', 'done'));
    expect(runRow(runId)).toMatchObject({ state: 'dispatched' });
    await back.api.settled.mutate({ openRunIds: [], openCommandIds: [] });
    expect(runRow(runId)).toMatchObject({ state: 'lost' });
  });

  test.each([
    ['refused', 'failed'],
    ['expired', 'expired'],
  ] as const)('that was %s ends its run as %s, with the reason', async (state, becomes) => {
    const runId = await ask();
    const { id = '' } = commandOf(runId) ?? {};
    expect(await answersTo(ended(id, state, reason))).toEqual(['accepted']);
    expect(commandOf(runId)).toMatchObject({ state, reasonCode: reason.code, reason: reason.text });
    expect(runRow(runId)).toMatchObject({ state: becomes, errorCode: reason.code, error: reason.text });
  });

  test('that was refused does not end a run that runs', async () => {
    const runId = await ask();
    const { id = '' } = commandOf(runId) ?? {};
    await link.send(says(runId, 'running'), ended(id, 'refused', reason));
    expect(runRow(runId)).toMatchObject({ state: 'running' });
  });

  test('has one end', async () => {
    const runId = await ask();
    const { id = '' } = commandOf(runId) ?? {};
    await link.send(ended(id, 'done'));
    const before = commandOf(runId);
    expect(await answersTo(ended(id, 'refused', reason), ended(id, 'expired'), ended(id, 'done'))).toEqual([
      'accepted',
      'accepted',
      'accepted',
    ]);
    expect(commandOf(runId)).toEqual(before);
  });

  test('that the catalog does not know any more is no reason to reject anything', async () => {
    expect(await answersTo(ended(newId(1), 'done'))).toEqual(['accepted']);
  });
});
