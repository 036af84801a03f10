import { ControlPlaneError } from '../errors.ts';

/** Streams of one key at a time: enough for every wall of screens, and no way to use up the memory. */
export const mostStreams = 100;

/** Who follows something at the moment. Each stream costs a look at the catalog at each change. */
export class Followers {
  readonly #open = new Map<string, number>();

  /**
   * Takes a place for one more stream.
   * @returns what gives it back, once
   * @throws ControlPlaneError `RateLimited`
   */
  take(keyId: string): () => void {
    const open = this.#open.get(keyId) ?? 0;
    if (open >= mostStreams) {
      throw new ControlPlaneError(
        'RateLimited',
        `This key follows ${open} runs at the moment, which is the most it may.`,
        'Close some of them first.',
      );
    }
    this.#open.set(keyId, open + 1);
    let given = true;
    return () => {
      if (!given) return;
      given = false;
      const left = (this.#open.get(keyId) ?? 1) - 1;
      if (left > 0) this.#open.set(keyId, left);
      else this.#open.delete(keyId);
    };
  }

  /** Streams of all keys. */
  get count(): number {
    return [...this.#open.values()].reduce((sum, each) => sum + each, 0);
  }
}
