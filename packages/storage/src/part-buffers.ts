/**
 * The memory of one upload. At most `limitBytes` are out at a time, or one buffer where that alone is larger; a buffer
 * that came back is given out again, so that a long upload makes no garbage of megabytes.
 */
export class PartBuffers {
  readonly #limitBytes: number;
  readonly #free: Buffer[] = [];
  #outBytes = 0;
  #wake: (() => void) | undefined;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** A buffer of exactly `bytes`, as soon as the limit allows. One caller at a time. */
  async take(bytes: number): Promise<Buffer> {
    while (this.#outBytes > 0 && this.#outBytes + bytes > this.#limitBytes) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#outBytes += bytes;
    const free = this.#free.pop();
    if (free?.length === bytes) return free;
    // Sizes only grow: what is left of a smaller one is of no use any more.
    this.#free.length = 0;
    return Buffer.allocUnsafeSlow(bytes);
  }

  /** Takes back a buffer that nothing reads any more. */
  giveBack(buffer: Buffer): void {
    this.#outBytes -= buffer.length;
    this.#free.push(buffer);
    this.#wake?.();
  }
}
