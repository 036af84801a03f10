import { eq } from 'drizzle-orm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { notices } from '../catalog/schema.ts';
import { channelsSchema } from '../channels/schema.ts';
import { startAlertStage, type AlertStage } from '../testing/alert-stage.ts';
import type { TestLink } from '../testing/host.ts';
import { startReceiver, type Receiver } from '../testing/receiver.ts';

const minute = 60_000;
const hour = 60 * minute;

describe('a channel that does not work', () => {
  let receiver: Receiver;
  let other: Receiver;
  let link: TestLink;
  let broken: AlertStage;
  beforeEach(async () => {
    receiver = await startReceiver();
    other = await startReceiver();
    broken = await startAlertStage(
      channelsSchema.parse({
        team: { type: 'webhook', url: receiver.url },
        boss: { type: 'webhook', url: other.url },
      }),
    );
    link = await broken.host().connect();
    receiver.state.answer = (response) => response.writeHead(503).end('out of order');
  });
  afterEach(async () => {
    await link.close();
    await broken.stop();
    await other.stop();
    await receiver.stop();
  });
  const rulesOf = ({ bodies }: Receiver) => bodies().map(({ kind, rule }) => `${String(kind)} ${String(rule)}`);
  const settled = async () => {
    // What is being sent has come to its end.
    for (let times = 0; times < 3; times++) {
      await broken.look();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };

  test('is an alert on the others, and gets what it owes once it is back, as one message for each trouble', async () => {
    await broken.pass(25 * hour + minute);
    for (let times = 0; times < 15; times++) {
      await broken.pass(minute);
      await settled();
    }
    expect(broken.open()).toContain('channelFailed');
    expect(rulesOf(other)).toContain('opened channelFailed');
    expect(rulesOf(receiver)).not.toContain('opened channelFailed');
    receiver.received.length = 0;
    receiver.state.answer = (response) => response.end('ok');
    for (let times = 0; times < 6; times++) {
      await broken.pass(20 * minute);
      await settled();
    }
    expect(rulesOf(receiver).filter((each) => each.endsWith('noBackup')).length).toBeLessThanOrEqual(2);
    expect(rulesOf(receiver)).toContain('opened noBackup');
    expect(broken.open()).not.toContain('channelFailed');
    expect(rulesOf(other)).toContain('resolved channelFailed');
  }, 120_000);

  test('what could not be sent before the program ended is sent after its next start', async () => {
    await broken.pass(25 * hour + 2 * minute);
    await settled();
    const waiting = broken.catalog.select().from(notices).where(eq(notices.channel, 'team')).all();
    expect(waiting.map(({ state }) => state)).toContain('waiting');
    await broken.restart();
    receiver.received.length = 0;
    receiver.state.answer = (response) => response.end('ok');
    await broken.pass(10 * minute);
    await settled();
    expect(receiver.bodies().map(({ id }) => id)).toContain(
      waiting.find(({ state }) => state === 'waiting')?.notice.id,
    );
  });
});
