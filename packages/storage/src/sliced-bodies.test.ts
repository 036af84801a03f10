import { once } from 'node:events';
import { Agent, createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { SlicedBodies } from './sliced-bodies.ts';
import { contentOf, sha256Of } from './testing/content.ts';

/** Keeps the socket, to see what waits in it. */
class WatchedAgent extends Agent {
  socket: Socket | undefined;

  override createConnection(...args: Parameters<Agent['createConnection']>): ReturnType<Agent['createConnection']> {
    const socket = super.createConnection(...args);
    this.socket = socket as Socket;
    return socket;
  }
}

test('of a large body no more is handed to the line than it takes, and all of it arrives', async () => {
  const content = contentOf(40_000_000);
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const httpAgent = new WatchedAgent();
  const client = new S3Client({
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    forcePathStyle: true,
    region: 'us-east-1',
    credentials: { accessKeyId: 'key', secretAccessKey: 'secret' },
    requestChecksumCalculation: 'WHEN_REQUIRED',
    requestHandler: new SlicedBodies({ httpAgent }),
  });
  try {
    const arrived = once(server, 'request') as Promise<[IncomingMessage, ServerResponse]>;
    const put = client.send(new PutObjectCommand({ Bucket: 'bucket', Key: 'key', Body: content }));
    const [request, response] = await arrived;
    // Nobody reads yet: the kernel is full, and all else waits where it is.
    await expect.poll(() => httpAgent.socket?.writableNeedDrain).toBe(true);
    expect(httpAgent.socket?.writableLength).toBeLessThan(1_000_000);
    expect((await buffer(request)).equals(content)).toBe(true);
    // As before it was cut up: with its length, and signed.
    expect(request.headers).toMatchObject({
      'content-length': String(content.length),
      'x-amz-content-sha256': sha256Of(content),
    });
    response.end();
    await put;
  } finally {
    client.destroy();
    server.close();
  }
});
