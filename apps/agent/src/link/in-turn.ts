/** Does one thing after another, in the order in which they were asked for; one that fails holds up none behind it. */
export class InTurn {
  #last: Promise<unknown> = Promise.resolve();

  async do<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work, work);
    this.#last = done.catch(() => undefined);
    return done;
  }
}
