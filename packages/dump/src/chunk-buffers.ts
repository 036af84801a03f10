const stepBytes = 1024 * 1024;

/**
 * Memory for compressed chunks, used again and again: megabytes that come and go with each of them would have V8 look
 * through its whole heap every time.
 */
export class ChunkBuffers {
  readonly #free: Buffer[] = [];

  /** @returns memory of that length, whose content is anything; given back by `give` */
  take(length: number): Buffer {
    const at = this.#free.findIndex((buffer) => buffer.length >= length);
    const found = at < 0 ? undefined : this.#free.splice(at, 1)[0];
    // One that is too small is let go of, so that there are never more than were in use at once.
    if (!found) this.#free.pop();
    return found ?? Buffer.allocUnsafeSlow(Math.ceil(length / stepBytes) * stepBytes);
  }

  /** @param buffer what was taken, or a part of it */
  give(buffer: Buffer): void {
    this.#free.push(Buffer.from(buffer.buffer));
  }
}
