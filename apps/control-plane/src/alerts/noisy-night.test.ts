import { newId } from '@strideiq/core';
import { waitFor } from '@strideiq/testkit';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { channelsSchema } from '../channels/schema.ts';
import { startAlertStage, toldTo, type AlertStage } from '../testing/alert-stage.ts';
import { startReceiver, type Receiver } from '../testing/receiver.ts';
import { madeBackup } from '../testing/reports.ts';

const minute = 60_000;
const hour = 60 * minute;

let receiver: Receiver;
let stage: AlertStage;
beforeEach(async () => {
  receiver = await startReceiver();
  stage = await startAlertStage(
    channelsSchema.parse({ team: { type: 'webhook', url: receiver.url, severity: 'info' } }),
  );
});
afterEach(async () => {
  await stage.stop();
  await receiver.stop();
});

describe('a noisy night', () => {
  test('a host that comes and goes 200 times is a handful of messages', { timeout: 120_000 }, async () => {
    const host = stage.host();
    let link = await host.connect();
    await stage.backedUp(link, host);
    for (let times = 0; times < 200; times++) {
      await link.close();
      await waitFor('it to be seen', () => !stage.connections.isConnected(host.agentId));
      await stage.pass(6 * minute, 3 * minute);
      link = await host.connect();
      await stage.pass(3 * minute, 3 * minute);
    }
    await stage.pass(8 * hour);
    await stage.delivered();
    const away = toldTo(receiver).filter(({ rule }) => rule === 'agentAway');
    expect(away.length).toBeGreaterThan(0);
    expect(away.length).toBeLessThanOrEqual(12);
    expect(stage.open()).not.toContain('agentAway');
    await link.close();
  });

  test(
    'a bucket that is away for three hours for fifty databases is a handful of messages that can be read',
    { timeout: 120_000 },
    async () => {
      const hosts = await Promise.all(
        Array.from({ length: 50 }, async (_, at) => {
          const each = stage.host(`host${at}`, `database_${at}`);
          return { each, link: await each.connect() };
        }),
      );
      const backUpAll = async (failed: string[]) => {
        // In two lots, as schedules have jitter.
        for (const [place, { each, link }] of hosts.entries()) {
          const copies = madeBackup(each).copies.map((copy, nth) =>
            failed.includes(each.databases[0]?.stores[nth]?.name ?? '')
              ? { ...copy, state: 'failed' as const, error: { code: 'StoreFailed', text: 'No route to host.' } }
              : copy,
          );
          await stage.backedUp(link, each, { backupId: newId(stage.clock.now), copies });
          if (place % 25 === 24) await passes();
        }
      };
      const passes = async () => {
        for (const step of [20 * minute, 10 * minute]) {
          stage.clock.now += step;
          await stage.look();
        }
      };
      await backUpAll([]);
      receiver.received.length = 0;
      for (let hours = 0; hours < 3; hours++) await backUpAll(['s3']);
      await backUpAll([]);
      for (let times = 0; times < 4; times++) await passes();
      await stage.delivered();
      const copies = toldTo(receiver).filter(({ rule }) => rule === 'copyFailed');
      expect(copies.length).toBeGreaterThan(1);
      expect(copies.length).toBeLessThanOrEqual(10);
      expect(copies.at(-1)?.kind).toBe('resolved');
      for (const { alerts: listed, title } of copies) {
        expect(listed.length).toBeLessThanOrEqual(20);
        expect(title.length).toBeLessThan(200);
      }
      expect(copies.some(({ more }) => more > 0)).toBe(true);
      expect(stage.open()).not.toContain('copyFailed');
      for (const { link } of hosts) await link.close();
    },
  );
});
