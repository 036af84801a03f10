import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const heldBytes = 1024 * 1024;
const pieceBytes = 16 * 1024;

/** What happens to the bytes of one direction; nothing where all is left out. */
export interface LinkFault {
  /** Each byte arrives this much later; it narrows nothing. */
  latencyMs?: number;
  bytesPerSecond?: number;
  /** Bytes and closings are held back, as on a link that lost its cable; they go on when this is taken away. */
  blackHole?: boolean;
  /** The connection is reset, on both sides, once this many of its bytes have passed. */
  resetAfterBytes?: number;
  /** Of the byte at this place, counted from 0 in each connection, the lowest bit is flipped. */
  corruptAtByte?: number;
}

/** One direction of a proxied connection: takes bytes from one socket and hands them to the other as the fault allows. */
export class FaultyLink {
  readonly #to: Socket;
  readonly #from: Socket;
  readonly #fault: () => LinkFault;
  readonly #reset: () => void;
  readonly #queue: { bytes: Buffer | undefined; arrivedMs: number }[] = [];
  readonly #stopped = new AbortController();
  #wake = Promise.withResolvers<void>();
  #queuedBytes = 0;
  #passedBytes = 0;
  /** When a link of the wanted bandwidth has passed what was handed to it. */
  #freeAtMs = 0;

  /**
   * @param fault what holds now; asked anew for every piece
   * @param reset ends the connection on both sides
   */
  constructor(from: Socket, to: Socket, fault: () => LinkFault, reset: () => void) {
    this.#from = from;
    this.#to = to;
    this.#fault = fault;
    this.#reset = reset;
    from.on('data', (bytes: Buffer) => this.#take(bytes));
    from.on('end', () => this.#take(undefined));
    this.#run().catch(() => this.#reset());
  }

  /** Looks at the fault again: a wait under the old one may be over. */
  reconsider(): void {
    const { resolve } = this.#wake;
    this.#wake = Promise.withResolvers<void>();
    resolve();
  }

  stop(): void {
    this.#stopped.abort();
    this.reconsider();
  }

  #take(bytes: Buffer | undefined): void {
    this.#queue.push({ bytes, arrivedMs: performance.now() });
    this.#queuedBytes += bytes?.length ?? 0;
    if (this.#queuedBytes > heldBytes) this.#from.pause();
    this.reconsider();
  }

  async #run(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      const next = this.#queue[0];
      if (!next) {
        await this.#wake.promise;
        continue;
      }
      const { latencyMs = 0, blackHole = false, bytesPerSecond } = this.#fault();
      const freeAtMs = bytesPerSecond === undefined ? 0 : this.#freeAtMs;
      const waitMs = Math.max(next.arrivedMs + latencyMs, freeAtMs) - performance.now();
      if (blackHole || waitMs > 0) {
        await this.#sleep(blackHole ? undefined : waitMs);
        continue;
      }
      this.#queue.shift();
      if (next.bytes === undefined) {
        this.#to.end();
        return;
      }
      await this.#forward(next.bytes, next.arrivedMs);
    }
  }

  async #forward(bytes: Buffer, arrivedMs: number): Promise<void> {
    const { bytesPerSecond = Infinity, resetAfterBytes = Infinity, corruptAtByte } = this.#fault();
    const leftBytes = Math.max(0, resetAfterBytes - this.#passedBytes);
    const piece = Buffer.from(bytes.subarray(0, Math.min(pieceBytes, leftBytes, Math.ceil(bytesPerSecond / 50))));
    if (piece.length < bytes.length) this.#queue.unshift({ bytes: bytes.subarray(piece.length), arrivedMs });
    const at = corruptAtByte === undefined ? -1 : corruptAtByte - this.#passedBytes;
    if (at >= 0 && at < piece.length) piece.writeUInt8(piece.readUInt8(at) ^ 1, at);
    this.#passedBytes += piece.length;
    this.#queuedBytes -= piece.length;
    if (this.#queuedBytes <= heldBytes) this.#from.resume();
    if (piece.length > 0 && !this.#to.write(piece)) await once(this.#to, 'drain', { signal: this.#stopped.signal });
    if (this.#passedBytes >= resetAfterBytes) {
      // What was let through has to arrive before the reset, which throws away what is still waiting to be sent.
      while (this.#to.writableLength > 0 && !this.#to.destroyed) await this.#sleep(1);
      this.#reset();
      return;
    }
    this.#freeAtMs = Math.max(this.#freeAtMs, performance.now()) + (piece.length / bytesPerSecond) * 1000;
  }

  /** Until the time is over (undefined: for ever), something arrives, or the fault changes. */
  async #sleep(ms: number | undefined): Promise<void> {
    const wake = this.#wake.promise;
    if (ms === undefined) return await wake;
    const over = new AbortController();
    const timer = delay(ms, undefined, { signal: over.signal }).catch(() => {});
    await Promise.race([timer, wake]);
    over.abort();
  }
}
