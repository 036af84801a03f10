import { noticeStates, paragraphOf } from '@strideiq/core';
import { and, asc, eq } from 'drizzle-orm';
import type { Catalog } from '../catalog/open-catalog.ts';
import { notices } from '../catalog/schema.ts';
import { ChannelFailed } from '../channels/channel-failed.ts';
import type { Channel } from '../channels/open-channel.ts';
import type { Log } from '../log.ts';

export interface DeliveryParts {
  catalog: Catalog;
  now: () => number;
  channels: ReadonlyMap<string, Channel>;
  log: Log;
}

type NoticeRow = typeof notices.$inferSelect;

const minuteMs = 60_000;
/** How long after each attempt the next one follows; the last one again and again. */
const waits = [0.5, 1, 2, 5, 10, 20, 30, 60].map((minutes) => minutes * minuteMs);
/** What could not be told for so long is of no use any more: what holds still is told by reminders. */
const givenUpMs = 24 * 60 * minuteMs;

/** Sends what waits for channels, each in its order and each channel by itself. A message may come twice, by its id the same. */
export class NoticeDelivery {
  readonly #parts: DeliveryParts;
  readonly #stopping = new AbortController();
  readonly #busy = new Map<string, Promise<void>>();
  /** Messages that have arrived, and of which that could not be written down: on a full disk they are not sent again and again. */
  readonly #arrived = new Set<string>();

  constructor(parts: DeliveryParts) {
    this.#parts = parts;
  }

  /** Begins whatever is due. Channels that are at it already go on by themselves. */
  turn(): void {
    const { channels, now } = this.#parts;
    const due = this.#waiting().filter(({ nextAttemptAt }) => nextAttemptAt <= now());
    for (const [name, [first]] of Map.groupBy(due, ({ channel }) => channel)) {
      const channel = channels.get(name);
      if (!first || this.#busy.has(name)) continue;
      if (!channel) this.#end(first, 'failed', `no channel is called ${name} any more`);
      else this.#busy.set(name, this.#sendAll(channel, first));
    }
  }

  /** Never rejects: what could not be written down is written down later. */
  async #sendAll(channel: Channel, first: NoticeRow): Promise<void> {
    try {
      await this.#send(channel, first);
    } catch (error) {
      this.#parts.log.error({ err: error }, `messages to ${channel.name} could not be kept: ${paragraphOf(error)}`);
    } finally {
      this.#busy.delete(channel.name);
    }
  }

  /** Once one has arrived the others can too, however long they were to wait. */
  async #send(channel: Channel, first: NoticeRow): Promise<void> {
    let row: NoticeRow | undefined = first;
    while (row && !this.#stopping.signal.aborted && (await this.#attempt(channel, row)))
      [row] = this.#waiting(channel.name);
  }

  /** Oldest first. */
  #waiting(channel?: string): NoticeRow[] {
    const ofChannel = channel === undefined ? undefined : eq(notices.channel, channel);
    const waiting = and(eq(notices.state, 'waiting'), ofChannel);
    return this.#parts.catalog.select().from(notices).where(waiting).orderBy(asc(notices.createdAt)).all();
  }

  /** @returns whether it arrived */
  async #attempt(channel: Channel, row: NoticeRow): Promise<boolean> {
    const { now, log } = this.#parts;
    try {
      if (!this.#arrived.has(row.id)) await channel.send(row.notice, this.#stopping.signal);
    } catch (error) {
      if (this.#stopping.signal.aborted) return false;
      const text = paragraphOf(error);
      log.warn({ channel: channel.name, noticeId: row.id }, `a message did not arrive: ${text}`);
      const isFinal = (error instanceof ChannelFailed && !error.isWorthAnother) || now() - row.createdAt >= givenUpMs;
      if (isFinal) this.#end(row, 'failed', text);
      else this.#later(row, error, text);
      return false;
    }
    this.#arrived.add(row.id);
    this.#end(row, 'sent');
    this.#arrived.delete(row.id);
    return true;
  }

  /** Nobody moves one that was taken into a newer one meanwhile. */
  #end({ id, attempts }: NoticeRow, state: 'sent' | 'failed', error: string | null = null): void {
    const { catalog, now } = this.#parts;
    const set = { state: noticeStates.move('waiting', state), attempts: attempts + 1, error, endedAt: now() };
    catalog
      .update(notices)
      .set(set)
      .where(and(eq(notices.id, id), eq(notices.state, 'waiting')))
      .run();
  }

  #later({ id, attempts }: NoticeRow, error: unknown, text: string): void {
    const { catalog, now } = this.#parts;
    const asked = error instanceof ChannelFailed ? (error.retryAfterMs ?? 0) : 0;
    const wait = Math.max(waits[Math.min(attempts, waits.length - 1)] ?? 0, asked);
    const set = { attempts: attempts + 1, error: text, nextAttemptAt: now() + wait };
    catalog
      .update(notices)
      .set(set)
      .where(and(eq(notices.id, id), eq(notices.state, 'waiting')))
      .run();
  }

  /** What is under way is left, and goes on with the next start. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the control plane stops'));
    await Promise.all(this.#busy.values());
  }
}
