import { newId } from '@strideiq/core';
import type { ReportBodies } from '@strideiq/protocol';
import { eq } from 'drizzle-orm';
import { setImmediate, setTimeout as delay } from 'node:timers/promises';
import { AlertKeeper } from '../alerts/alert-keeper.ts';
import { alerts, notices } from '../catalog/schema.ts';
import { openChannel } from '../channels/open-channel.ts';
import type { ChannelConfiguration } from '../channels/schema.ts';
import { startGateway } from './gateway.ts';
import { bucketStore, TestHost, type TestLink } from './host.ts';
import type { Receiver } from './receiver.ts';
import { madeBackup, runBody } from './reports.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const deliveredWithinMs = 20_000;

/** The part of a control plane that faces agents, and alerts that look when a test has them look. */
export async function startAlertStage(channels: Record<string, ChannelConfiguration> = {}) {
  const server = await startGateway();
  const { catalog, clock, connections, liveRuns } = server;
  const now = () => clock.now;
  const secrets = new Set<string>();
  const opened = Object.entries(channels).map(([name, said]) => {
    const parts = { env: {}, now, secrets, allowPlainText: false };
    return [name, openChannel(name, said, parts)] as const;
  });
  const newKeeper = () =>
    new AlertKeeper({
      catalog,
      now,
      connections,
      liveRuns,
      channels: new Map(opened),
      publicUrl: 'https://backup.example.com',
      certificate: undefined,
      log: server.log,
    });
  let keeper = newKeeper();
  const stage = {
    ...server,
    get keeper() {
      return keeper;
    },
    /** As after a start of the program: what holds and is no alert yet is forgotten. */
    async restart(): Promise<void> {
      await keeper.stop();
      keeper = newKeeper();
    },
    look: async () => keeper.look(),
    /** A host that has enrolled, with a database in a directory and in a bucket. */
    host(hostname = 'db1', database = 'app'): TestHost {
      const host = new TestHost(server, 'production', hostname).looksAfter(database).enrol();
      host.databases[0]?.stores.push(bucketStore(`${database}/`));
      return host;
    },
    /** Lets time pass, and looks now and then, and each minute at the end. What was sent meanwhile has its turn. */
    async pass(ms: number, stepMs = ms > hourMs ? 20 * minuteMs : minuteMs): Promise<void> {
      for (const until = clock.now + ms; clock.now < until;) {
        const step = until - clock.now > 5 * minuteMs ? Math.min(stepMs, until - clock.now - 5 * minuteMs) : minuteMs;
        clock.now = Math.min(clock.now + Math.max(step, 1000), until);
        await setImmediate();
        await keeper.look();
        await setImmediate();
      }
    },
    /** Looks until everything that was made has been sent. */
    async delivered(): Promise<void> {
      for (const until = performance.now() + deliveredWithinMs; performance.now() < until; await delay(10)) {
        await keeper.look();
        if (catalog.select().from(notices).where(eq(notices.state, 'waiting')).all().length === 0) return;
      }
      throw new Error('messages wait still to be delivered');
    },
    rows: () => catalog.select().from(alerts).all(),
    /** Rules of what is not resolved, sorted. */
    open: () =>
      catalog
        .select()
        .from(alerts)
        .all()
        .flatMap(({ rule, resolvedAt }) => (resolvedAt === null ? [rule] : []))
        .sort(),
    /** A run of a host that is over. */
    async ran(link: TestLink, host: TestHost, state: 'succeeded' | 'failed', more: Partial<ReportBodies['run']> = {}) {
      const runId = newId(clock.now);
      const at = new Date(clock.now).toISOString();
      await link.send(host.report('run', runBody(host, runId, state, { startedAt: at, finishedAt: at, ...more })));
      return runId;
    },
    /** A good backup of now. */
    async backedUp(link: TestLink, host: TestHost, more: object = {}) {
      const snapshotAt = new Date(clock.now).toISOString();
      return stage.ran(link, host, 'succeeded', { backup: { ...madeBackup(host), snapshotAt, ...more } });
    },
    async stop(): Promise<void> {
      await keeper.stop();
      await server.stop();
    },
  };
  return stage;
}

/** What a webhook is told of alerts, as far as tests ask. */
export interface Told {
  kind: string;
  rule: string | null;
  title: string;
  alerts: { subject: string; text: string }[];
  more: number;
}

export const toldTo = ({ bodies }: Receiver) => bodies() as unknown as Told[];

export type AlertStage = Awaited<ReturnType<typeof startAlertStage>>;
