/**
 * The control plane's clock, as far as it is known here: what expires does so by it, and never by this host's own, which
 * may be off by hours.
 */
export class ServerClock {
  readonly #now: () => number;
  #offsetMs: number | undefined;

  constructor(now: () => number) {
    this.#now = now;
  }

  /**
   * Learns from an answer that tells the time.
   * @param sentAt when it was asked for, by this host's clock
   */
  learn(serverTime: string, sentAt: number): void {
    const said = Date.parse(serverTime);
    // In the middle of the way there and back.
    if (Number.isFinite(said)) this.#offsetMs = said - (sentAt + this.#now()) / 2;
  }

  /** The control plane's clock less this host's, milliseconds; undefined before the first word from there. */
  get offsetMs(): number | undefined {
    return this.#offsetMs;
  }

  /** Milliseconds since 1970 by the control plane's clock; undefined before the first word from there. */
  now(): number | undefined {
    return this.#offsetMs === undefined ? undefined : this.#now() + this.#offsetMs;
  }
}
