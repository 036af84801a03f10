import { describe, expect, test } from 'vitest';
import type { Subject } from './conformance.ts';
import { chunksOf, contentOf } from './content.ts';

export function describePresign(subject: Subject): void {
  describe('presign', () => {
    test('is there where the store can, also through what decorates it', () => {
      expect(subject.store.presign !== undefined).toBe(subject.presigns);
    });

    test('gives URLs that anyone may read by, whole and in ranges, and do nothing else with', async () => {
      const { store } = subject;
      if (!store.presign) return;
      const content = contentOf(300_000);
      const key = 'presign/a + b?&=%20é';
      await store.put(key, chunksOf(content));
      const url = await store.presign(key, { expiresInSeconds: 60 });
      expect(content.equals(await bytesOf(await fetch(url)))).toBe(true);
      const part = await fetch(url, { headers: { range: 'bytes=262143-262145' } });
      expect(part.status).toBe(206);
      expect(await bytesOf(part)).toEqual(content.subarray(262_143, 262_146));
      expect((await fetch(url, { method: 'PUT', body: 'x' })).status).toBe(403);
      expect((await fetch(url, { method: 'DELETE' })).status).toBe(403);
      expect(await store.head(key)).toMatchObject({ sizeBytes: content.length });
    });

    test('gives URLs that end with their time', async () => {
      const { store } = subject;
      if (!store.presign) return;
      await store.put('presign/short', chunksOf(contentOf(10)));
      const url = await store.presign('presign/short', { expiresInSeconds: 1 });
      await expect.poll(async () => (await fetch(url)).status, { timeout: 20_000 }).toBe(403);
    });

    test('gives URLs that anyone may put one object by, and read nothing', async () => {
      const { store } = subject;
      expect(store.presignPut !== undefined).toBe(subject.presigns);
      if (!store.presignPut) return;
      const content = contentOf(300_000);
      const key = 'presign/put + b?&=%20é';
      const { url, headers } = await store.presignPut(key, { expiresInSeconds: 60, sizeBytes: content.length });
      const put = async (body: Uint8Array) =>
        (await fetch(url, { method: 'PUT', headers, body: new Uint8Array(body) })).status;
      expect(await put(content)).toBe(200);
      expect(await store.head(key)).toMatchObject({ sizeBytes: content.length });
      expect(await put(contentOf(300_001))).toBe(403);
      expect((await fetch(url)).status).toBe(403);
      expect((await fetch(url, { method: 'DELETE' })).status).toBe(403);
    });

    test('refuses names that the store would refuse to read', async () => {
      const { store } = subject;
      if (!store.presign) return;
      await expect(store.presign('../x', { expiresInSeconds: 60 })).rejects.toMatchObject({ code: 'KeyInvalid' });
    });
  });
}

async function bytesOf(response: Response): Promise<Buffer> {
  return Buffer.from(await response.arrayBuffer());
}
