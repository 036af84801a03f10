import { setImmediate as turn } from 'node:timers/promises';
import { AgentError } from '../errors.ts';

/**
 * One stream to several stores at once. The slowest live store sets the pace; a store that takes nothing for the stall
 * limit is dropped, and the others go on. A store that watches its own connection is trusted to fail by itself: what it
 * tells of its progress is too coarse to judge a slow line by.
 */
export class FanOut {
  readonly #feeds: Feed[] = [];
  readonly #stallLimitMs: number;
  #failure: Error | undefined;

  constructor(stallLimitMs: number) {
    this.#stallLimitMs = stallLimitMs;
  }

  /**
   * A store's own view of the stream. To be called before the first `write`.
   * @param options `watchesItself`: the store's put fails by itself once its connection is silent
   */
  feed(options: { watchesItself: boolean } = { watchesItself: false }): Feed {
    const feed = new Feed(options.watchesItself ? Number.POSITIVE_INFINITY : this.#stallLimitMs);
    this.#feeds.push(feed);
    return feed;
  }

  /**
   * Hands bytes to every live store, and resolves when each is done with them: others may then be written over them.
   * @throws AgentError `NoCopyStored` when no store is left; after `fail`, what it was given
   */
  async write(bytes: Buffer): Promise<void> {
    const live = this.#live();
    for (const feed of live) feed.offer(bytes);
    for (const feed of live) await this.#done(feed);
    this.#live();
  }

  /** The stream is whole: each store may commit. */
  end(): void {
    for (const feed of this.#feeds) feed.end();
  }

  /** The stream is broken: each store's source throws `error`, so that the store leaves nothing. */
  fail(error: Error): void {
    this.#failure ??= error;
    for (const feed of this.#feeds) feed.fail(error);
  }

  #live(): Feed[] {
    if (this.#failure) throw this.#failure;
    const live = this.#feeds.filter((feed) => !feed.closed);
    if (live.length === 0) {
      throw new AgentError('NoCopyStored', 'No store takes the backup any more.', 'Each store’s own error says why.');
    }
    return live;
  }

  async #done(feed: Feed): Promise<void> {
    while (feed.isBusy) {
      const waited = performance.now() - feed.lastTakenAt;
      if (waited >= feed.stallLimitMs) {
        // A process that was frozen for that long hears first of its timer, and then that the store was done all along.
        await turn();
        if (!feed.isBusy) return;
        feed.fail(
          new AgentError(
            'StoreStalled',
            `The store took nothing for ${Math.round(waited / 1000)} s.`,
            'The other stores went on without it. Look at the network and the store’s load, and run the backup again.',
          ),
        );
        return;
      }
      await feed.change(feed.stallLimitMs - waited);
    }
  }
}

/** What one store reads, once: it is done with a piece when it asks for the next. */
export class Feed implements AsyncIterable<Uint8Array> {
  #offered: Buffer | undefined;
  #ended = false;
  #error: Error | undefined;
  #waiting: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;
  /** Aborts what the store is doing when it is dropped: a stalled request would never come back for the next byte. */
  readonly #abort = new AbortController();
  /** How long it may take nothing; infinite where the store watches itself. */
  readonly stallLimitMs: number;
  lastTakenAt = performance.now();
  closed = false;

  constructor(stallLimitMs: number) {
    this.stallLimitMs = stallLimitMs;
  }

  /** The store is not done yet with what was offered to it. */
  get isBusy(): boolean {
    return this.#offered !== undefined;
  }

  /** Aborted with the reason when the feed fails. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  offer(bytes: Buffer): void {
    if (this.closed) return;
    // An idle producer is no stall: the clock starts when there is something to take.
    this.lastTakenAt = performance.now();
    this.#offered = bytes;
    this.#wakeReader();
  }

  end(): void {
    this.#ended = true;
    this.#wakeReader();
  }

  fail(error: Error): void {
    if (this.closed) return;
    this.#error = error;
    this.close();
    this.#abort.abort(error);
  }

  /** The store takes no more: it is done, or it failed by itself. */
  close(): void {
    this.closed = true;
    this.#offered = undefined;
    this.#wakeReader();
    this.#wakeWriter?.();
  }

  /** The store has moved on although it asked for nothing. */
  moved(): void {
    this.lastTakenAt = performance.now();
  }

  /** Resolves when something was taken, or after `timeoutMs`. */
  async change(timeoutMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = Number.isFinite(timeoutMs) ? setTimeout(resolve, timeoutMs) : undefined;
      this.#wakeWriter = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wakeWriter = undefined;
  }

  #wakeReader(): void {
    this.#waiting?.();
    this.#waiting = undefined;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      if (this.#error) throw this.#error;
      // What it is given up on is never a whole.
      if (this.closed) throw new Error('the stream was closed before its end');
      if (this.#offered) {
        yield this.#offered;
        this.#offered = undefined;
        this.lastTakenAt = performance.now();
        this.#wakeWriter?.();
      } else if (this.#ended) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#waiting = resolve;
        });
      }
    }
  }
}
