/** Where the bound stops doubling: a control plane that is back has every agent again within half a minute. */
const longestDelayMs = 20_000;
const firstDelayMs = 1000;

/** What is refused for good is asked again now and then all the same: somebody may have set it right on the other side. */
const slowDelayMs = 300_000;

/**
 * How long to wait before the next connection: random between nothing and a bound that doubles ("full jitter"), so that
 * those that were cut off together do not come back together.
 */
export class Backoff {
  readonly #random: () => number;
  #failures = 0;

  /** @param random from 0 to 1 */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** A connection has held. */
  reset(): void {
    this.#failures = 0;
  }

  /** Milliseconds until the next try. */
  next(): number {
    return this.#random() * Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(this.#failures++, 10));
  }

  /** The same after a refusal that will not change by itself. */
  slow(): number {
    return (slowDelayMs * (1 + this.#random())) / 2;
  }
}
