import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId } from '@strideiq/core';
import { runs } from '../catalog/schema.ts';
import { startControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import type { TestHost } from '../testing/host.ts';
import { cursorOf } from './paging.ts';

let server: TestControlPlane;
let host: TestHost;
beforeAll(async () => {
  server = await startControlPlane();
  host = server.host('production', 'db1');
  const link = await host.connect();
  await link.close();
});
afterAll(async () => server.stop());

function insertRun(createdAt: number): string {
  const id = newId(createdAt);
  const { agentId } = host;
  server.catalog
    .insert(runs)
    .values({ id, kind: 'backup', databaseId: host.databaseId(), agentId, state: 'succeeded', createdAt })
    .run();
  return id;
}

interface Page {
  items: { id: string; createdAt: string }[];
  nextCursor: string | null;
}

async function page(query: string): Promise<Page> {
  const { status, body } = await server.rest('GET', `/runs?${query}`);
  expect(status).toBe(200);
  return body as unknown as Page;
}

describe('lists', () => {
  test('whatever is made between the pages, none is repeated and none that was there is left out', async () => {
    const moments = fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(
        moments,
        fc.array(moments, { maxLength: 6 }),
        fc.integer({ min: 1, max: 5 }),
        async (at, later, limit) => {
          server.catalog.delete(runs).run();
          const there = at.map((each) => insertRun(each * 1000));
          const seen: Page['items'] = [];
          const between = [...later];
          for (let cursor = ''; ;) {
            const { items, nextCursor } = await page(`limit=${limit}${cursor === '' ? '' : `&cursor=${cursor}`}`);
            seen.push(...items);
            if (nextCursor === null) break;
            cursor = nextCursor;
            for (const each of between.shift() ?? []) insertRun(each * 1000);
          }
          const ids = seen.map(({ id }) => id);
          expect(new Set(ids).size).toBe(ids.length);
          expect(ids).toEqual(expect.arrayContaining(there));
          const order = seen.map(({ createdAt, id }) => `${createdAt} ${id}`);
          expect(order).toEqual([...order].sort().reverse());
        },
      ),
      { numRuns: 60 },
    );
  });

  test('the limit has its bounds', async () => {
    for (const limit of ['0', '201', '-1', '1.5', 'many', '']) {
      expect((await server.rest('GET', `/runs?limit=${limit}`)).body).toMatchObject({
        code: 'InputInvalid',
        status: 400,
      });
    }
    expect((await server.rest('GET', '/runs?limit=200')).status).toBe(200);
  });

  test.each([
    'rubbish',
    cursorOf({ at: 1, id: '' }).slice(3),
    Buffer.from('[1]').toString('base64url'),
    '%00',
    "' OR 1=1",
  ])('the cursor %j is refused, and not passed over', async (cursor) => {
    const { status, body } = await server.rest('GET', `/runs?cursor=${encodeURIComponent(cursor)}`);
    expect({ status, code: body['code'] }).toEqual({ status: 400, code: 'InputInvalid' });
    expect(body['detail']).toMatch(/Begin without one/);
  });
});
