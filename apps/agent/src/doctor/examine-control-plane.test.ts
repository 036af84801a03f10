import { newId } from '@strideiq/core';
import { waitFor } from '@strideiq/testkit';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { takeDaemonLock } from '../daemon/daemon-lock.ts';
import { ScriptedControlPlane } from '../testing/scripted-control-plane.ts';
import { TestAgent } from '../testing/test-agent.ts';
import { examineControlPlane } from './examine-control-plane.ts';

let controlPlane: ScriptedControlPlane;
let agent: TestAgent;
beforeEach(async () => {
  controlPlane = new ScriptedControlPlane();
  await controlPlane.start();
  agent = new TestAgent({ controlPlane });
});
afterEach(async () => {
  await agent.remove();
  await controlPlane.stop();
});

const look = async () => {
  const host = await agent.open();
  try {
    return (await examineControlPlane(host)).map(({ level, subject, text }) => `${level} ${subject}: ${text}`);
  } finally {
    host.close();
  }
};

test('without a daemon it goes there itself, and says that none runs', async () => {
  expect(await look()).toEqual([
    `ok control plane: ${controlPlane.url} answers, and takes the credential of this host`,
    expect.stringContaining('warn control plane: daemon: it does not run') as string,
    'ok control plane: clock: agrees with this host’s',
    'ok control plane: reports: all are delivered',
  ]);
  await waitFor('no connection', () => controlPlane.open === 0);
});

test('with a daemon it asks that one, and does not take its connection', async () => {
  await agent.start();
  const lock = takeDaemonLock(agent.stateDir);
  try {
    await waitFor('settled', () => controlPlane.settled.length > 0);
    expect((await look())[0]).toMatch(/^ok control plane: connected to http:.* since 2\d{3}-.* as agent /);
    expect(controlPlane.connections.length).toBe(1);
    await controlPlane.stop();
    const [first] = await waitFor('the loss', async () => {
      const lines = await look();
      return lines[0]?.startsWith('fail') ? lines : undefined;
    });
    expect(first).toMatch(/^fail control plane: not connected since .*: The control plane cannot be reached/);
  } finally {
    lock.release();
  }
});

test('what waits, what was not taken, and a clock that is off', async () => {
  controlPlane.clockOffsetMs = -600_000;
  agent.withJournal(({ outbox }) => {
    for (let n = 0; n < 3; n++) outbox.write('log', { runId: newId(n), lines: [] });
    const [first] = outbox.batchAfter(0);
    outbox.answered([
      { reportId: first?.reportId ?? '', answer: 'rejected', code: 'NotOwner', text: 'It is another’s.' },
    ]);
  });
  expect((await look()).slice(2)).toEqual([
    expect.stringMatching(/^warn control plane: clock: its clock is -(599|60\d) s off this host's$/) as string,
    'ok control plane: reports: 2 wait to be delivered',
    'warn control plane: reports: one was not taken, the newest (log) for NotOwner: It is another’s.',
  ]);
});

test.each([
  ['its credential is not good', () => Promise.resolve(agent.enrol('another one')), /It is not good/],
  ['it is not there', () => controlPlane.stop(), /cannot be reached/],
  ['this host has not enrolled', () => rm(join(agent.stateDir, 'credential.json')), /has not enrolled/],
])('%s: a failure, with what to do', async (_, fault, text) => {
  await fault();
  const [first] = await look();
  expect(first).toMatch(text);
  expect(first).toMatch(/^fail control plane: /);
});
