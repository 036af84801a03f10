import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { untilHealthy } from './health-check.ts';

const servers: ReturnType<typeof createServer>[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

/** A server that answers each request with the next of these, and with the last from then on; 0: not at all. */
async function answering(...codes: number[]): Promise<string> {
  const server = createServer((_, response) => {
    const code = codes.length > 1 ? codes.shift() : codes[0];
    if (code !== 0) response.writeHead(code ?? 500).end('text');
  });
  servers.push(server);
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/health`;
}

test('an application may need a while', async () => {
  await expect(untilHealthy(await answering(503, 502, 204), 20_000)).resolves.toBeUndefined();
});

test('one that never is well fails with its last answer', async () => {
  const url = await answering(503);
  await expect(untilHealthy(url, 1500)).rejects.toMatchObject({
    code: 'HealthCheckFailed',
    message: expect.stringContaining('it answered 503') as string,
  });
});

test('one that says nothing, and one that is not there', async () => {
  await expect(untilHealthy(await answering(0), 500)).rejects.toThrow(
    /health has not answered with success for 0\.5 s/,
  );
  const gone = await answering(200);
  await new Promise((resolve) => void servers.pop()?.close(resolve));
  await expect(untilHealthy(gone, 500)).rejects.toThrow(/ECONNREFUSED/);
});
