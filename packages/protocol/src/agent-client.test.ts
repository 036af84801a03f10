import { expect, test } from 'vitest';
import { openAgentClient } from './agent-client.ts';

const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;

test('a control plane that is away for days takes no memory: a connection that failed leaves nothing waiting', async () => {
  const before = timers();
  for (let tries = 0; tries < 20; tries++) {
    const why = await new Promise<string>((onClose) => {
      openAgentClient({ url: 'http://127.0.0.1:1', credential: 'x', onClose });
    });
    expect(why).toContain('ECONNREFUSED');
  }
  expect(timers() - before).toBeLessThan(10);
});
