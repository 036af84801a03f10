import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Host } from '../compose.ts';
import { ScriptedControlPlane } from '../testing/scripted-control-plane.ts';
import { TestAgent } from '../testing/test-agent.ts';
import { eachDatabase } from './each-database.ts';

let agent: TestAgent;
let host: Host;
/** What was done, in order. */
let done: string[];

beforeEach(async () => {
  done = [];
  const connection = { host: '127.0.0.1', port: 1, user: 'nobody' };
  agent = new TestAgent({
    controlPlane: new ScriptedControlPlane(),
    databases: { app: { connection, stores: ['local'] }, shop: { connection, stores: ['other'] } },
    stores: { other: { type: 'directory', path: './other' } },
  });
  host = await agent.open();
  const { forWork } = host;
  host.forWork = (...given) => {
    const own = forWork.apply(host, given);
    const { close } = own;
    own.close = () => {
      done.push('closed');
      close.call(own);
    };
    return own;
  };
});
afterEach(async () => {
  host.close();
  await agent.remove();
});

test('one after another, each with what was opened for it closed before the next', async () => {
  await eachDatabase(host, new AbortController().signal, async (own, { name }) => {
    expect(own).not.toBe(host);
    done.push(name);
  });
  expect(done).toEqual(['app', 'closed', 'shop', 'closed']);
});

test('what fails is closed too, and thrown', async () => {
  const failing = eachDatabase(host, new AbortController().signal, async (_, { name }) => {
    throw new Error(name);
  });
  await expect(failing).rejects.toThrow('app');
  expect(done).toEqual(['closed']);
});

test('told to stop it goes on to no other', async () => {
  const stop = new AbortController();
  const reason = new Error('Interrupted by SIGTERM.');
  const stopped = eachDatabase(host, stop.signal, async (own, { name }) => {
    done.push(name);
    stop.abort(reason);
    expect(own.surroundings.signal.aborted).toBe(true);
  });
  await expect(stopped).rejects.toBe(reason);
  expect(done).toEqual(['app', 'closed']);
});
