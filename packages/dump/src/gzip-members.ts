import type { DumpFile, OpenChunk } from './dump-file.ts';
import { compressMember, type Member } from './member-compressor.ts';

export interface GzipMembersOptions {
  level: number;
  blockBytes: number;
  /** Members being compressed or waiting for the file at once. */
  membersInFlight: number;
  /** After each member that its chunk took. */
  onMember?: () => void;
}

/**
 * Compresses a producer's stream as gzip members (RFC 1952: several in a row are one file), each holding one block of it,
 * several at once on libuv's thread pool. They reach their chunks in order, one at a time; memory is bounded by the members
 * in flight, and blocks are used again. The same bytes in the same chunks give the same members, whatever the timing.
 *
 * After an error every call rejects with it.
 */
export class GzipMembers {
  /** Bytes written into the open chunk. */
  chunkRawBytes = 0;

  private readonly file: DumpFile;
  private readonly options: GzipMembersOptions;
  private readonly spare: Buffer[] = [];
  private block: Buffer;
  private used = 0;
  private chunk: OpenChunk;
  /** One promise a member in flight, oldest first. */
  private readonly flights: Promise<void>[] = [];
  private readonly compressing = new Set<Promise<Member>>();

  /** @param chunk the first one */
  constructor(file: DumpFile, chunk: OpenChunk, options: GzipMembersOptions) {
    this.file = file;
    this.chunk = chunk;
    this.options = options;
    this.block = Buffer.allocUnsafeSlow(options.blockBytes);
  }

  /** Adds bytes `from` … `to`, which are copied. A promise is returned only where one has to wait. */
  write(bytes: Buffer, from = 0, to = bytes.length): Promise<void> | undefined {
    const now = Math.min(this.block.length - this.used, to - from);
    bytes.copy(this.block, this.used, from, from + now);
    this.used += now;
    this.chunkRawBytes += now;
    return this.used < this.block.length ? undefined : this.shipAndGoOn(bytes, from + now, to);
  }

  private async shipAndGoOn(bytes: Buffer, from: number, to: number): Promise<void> {
    for (let at = from; ;) {
      await this.ship();
      const now = Math.min(this.block.length, to - at);
      bytes.copy(this.block, 0, at, at + now);
      this.used = now;
      this.chunkRawBytes += now;
      at += now;
      if (now < this.block.length) return;
    }
  }

  /** Ends the open chunk, whose last member may be short; what follows belongs to `next`. */
  async endChunk(next: OpenChunk): Promise<void> {
    if (this.used > 0) await this.ship();
    const { chunk } = this;
    chunk.rawLength = this.chunkRawBytes;
    this.chunk = next;
    this.chunkRawBytes = 0;
    this.afterwards(async () => chunk.end());
  }

  /** Does something once all that was written so far has gone where it belongs, and before anything that follows does. */
  afterwards(step: () => Promise<void>): void {
    this.fly((this.flights.pop() ?? Promise.resolve()).then(step));
  }

  /** Waits until everything has gone where it belongs. */
  async end(): Promise<void> {
    await Promise.all(this.flights);
    this.file.throwFailure();
  }

  /** Waits until no member is being compressed any more; for the time after a failure. */
  async abandon(): Promise<void> {
    await Promise.allSettled(this.compressing);
  }

  /** Sends the block on its way, and waits for a place for the next one. */
  private async ship(): Promise<void> {
    this.file.throwFailure();
    const { block, chunk } = this;
    const member = compressMember(block.subarray(0, this.used), this.options.level);
    this.compressing.add(member);
    this.fly(this.deliver(member, block, this.flights.at(-1), chunk));
    this.used = 0;
    while (this.flights.length >= this.options.membersInFlight) {
      await this.flights[0];
      void this.flights.shift();
    }
    this.block = this.spare.pop() ?? Buffer.allocUnsafeSlow(this.options.blockBytes);
  }

  private fly(flight: Promise<void>): void {
    flight.catch((error: unknown) => this.file.fail(error));
    this.flights.push(flight);
  }

  private async deliver(
    compressing: Promise<Member>,
    block: Buffer,
    before: Promise<void> | undefined,
    chunk: OpenChunk,
  ): Promise<void> {
    const rawBytes = this.used;
    using member = await compressing.finally(() => {
      this.compressing.delete(compressing);
      this.spare.push(block);
    });
    await before;
    this.file.rawBytes += rawBytes;
    await chunk.add(member.bytes);
    this.options.onMember?.();
  }
}
