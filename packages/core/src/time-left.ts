/** What has to be seen of a phase before anybody can tell how long it takes. */
const leastMs = 3000;
const leastFraction = 0.02;
/** What is nearly done by a size that was only guessed may go on for long. */
const nearlyDone = 0.99;

/** Tells how long a phase takes still, by how fast it has gone since it was seen first. */
export class TimeLeft {
  #phase: string | undefined;
  #from = { fraction: 0, at: 0 };

  /**
   * @param fraction of the phase that is done, 0 to 1; undefined where nobody can tell
   * @param now milliseconds of a clock that only goes forward
   * @returns milliseconds; undefined where it is too early to say
   */
  at(phase: string, fraction: number | undefined, now: number): number | undefined {
    if (phase !== this.#phase) {
      this.#phase = phase;
      this.#from = { fraction: fraction ?? 0, at: now };
    }
    if (fraction === undefined || fraction >= nearlyDone) return undefined;
    const [done, elapsedMs] = [fraction - this.#from.fraction, now - this.#from.at];
    if (done < leastFraction || elapsedMs < leastMs) return undefined;
    return (elapsedMs / done) * (1 - fraction);
  }
}
