import { createHash } from 'node:crypto';
import { compressMember } from './member-compressor.ts';

/** Takes compressed bytes; its promise is the back-pressure. Called again only once it has resolved. */
export type Sink = (bytes: Buffer) => Promise<void>;

export interface GzipMembersOptions {
  level: number;
  blockBytes: number;
  /** Members being compressed or waiting for the sink at once. */
  membersInFlight: number;
  /** After each member that the sink took. */
  onMember?: () => void;
}

/**
 * Compresses a stream as gzip members (RFC 1952: several in a row are one file), each holding one block of it, several at
 * once on libuv's thread pool. They reach the sink in order, one at a time; memory is bounded by the members in flight,
 * and blocks are used again. The same bytes in the same chunks give the same members, whatever the timing.
 *
 * After an error every call rejects with it and the sink is not called again.
 */
export class GzipMembers {
  /** Bytes that the sink took. */
  bytes = 0;
  /** Bytes written into this. */
  rawBytes = 0;
  /** Bytes written into the open chunk. */
  chunkRawBytes = 0;

  private readonly sink: Sink;
  private readonly options: GzipMembersOptions;
  private readonly hash = createHash('sha256');
  private readonly spare: Buffer[] = [];
  private block: Buffer;
  private used = 0;
  private chunk = new MemberChunk();
  /** One promise a member in flight, oldest first. */
  private readonly flights: Promise<void>[] = [];
  private readonly compressing = new Set<Promise<Buffer>>();
  private failure: { error: unknown } | undefined;

  constructor(sink: Sink, options: GzipMembersOptions) {
    this.sink = sink;
    this.options = options;
    this.block = Buffer.allocUnsafeSlow(options.blockBytes);
  }

  /** Adds bytes, which are copied. A promise is returned only where one has to wait. */
  write(bytes: Buffer): Promise<void> | undefined {
    const room = this.block.length - this.used;
    const now = Math.min(room, bytes.length);
    bytes.copy(this.block, this.used, 0, now);
    this.used += now;
    this.rawBytes += now;
    this.chunkRawBytes += now;
    return this.used < this.block.length ? undefined : this.shipAndGoOn(bytes, now);
  }

  private async shipAndGoOn(bytes: Buffer, from: number): Promise<void> {
    for (let at = from; ;) {
      await this.ship();
      const now = Math.min(this.block.length, bytes.length - at);
      bytes.copy(this.block, 0, at, at + now);
      this.used = now;
      this.rawBytes += now;
      this.chunkRawBytes += now;
      at += now;
      if (now < this.block.length) return;
    }
  }

  /** Ends the open chunk, whose last member may be short. `written` of what is returned is set once `end` has resolved. */
  async endChunk(): Promise<MemberChunk> {
    if (this.used > 0) await this.ship();
    const { chunk } = this;
    chunk.rawLength = this.chunkRawBytes;
    this.chunk = new MemberChunk();
    this.chunkRawBytes = 0;
    // A failure is told by whoever waits for the member itself.
    (this.flights.at(-1) ?? Promise.resolve()).then(
      () => chunk.seal(),
      () => {},
    );
    return chunk;
  }

  /** Waits until the sink took everything; SHA-256 of all of it. */
  async end(): Promise<string> {
    await Promise.all(this.flights);
    this.throwFailure();
    return this.hash.digest('hex');
  }

  /** Waits until no member is being compressed any more; for the time after a failure elsewhere. */
  async abandon(reason: unknown): Promise<void> {
    this.failure ??= { error: reason };
    await Promise.allSettled(this.compressing);
  }

  private throwFailure(): void {
    if (this.failure) throw this.failure.error;
  }

  /** Sends the block on its way, and waits for a place for the next one. */
  private async ship(): Promise<void> {
    this.throwFailure();
    const { block, chunk } = this;
    const member = compressMember(block.subarray(0, this.used), this.options.level);
    this.compressing.add(member);
    const flight = this.deliver(member, block, this.flights.at(-1), chunk);
    flight.catch((error: unknown) => (this.failure ??= { error }));
    this.flights.push(flight);
    this.used = 0;
    while (this.flights.length >= this.options.membersInFlight) {
      await this.flights[0];
      void this.flights.shift();
    }
    this.block = this.spare.pop() ?? Buffer.allocUnsafeSlow(this.options.blockBytes);
  }

  private async deliver(
    member: Promise<Buffer>,
    block: Buffer,
    before: Promise<void> | undefined,
    chunk: MemberChunk,
  ): Promise<void> {
    const bytes = await member.finally(() => {
      this.compressing.delete(member);
      this.spare.push(block);
    });
    await before;
    this.throwFailure();
    this.hash.update(bytes);
    chunk.add(this.bytes, bytes);
    this.bytes += bytes.length;
    await this.sink(bytes);
    this.options.onMember?.();
  }
}

/** The members of one chunk, of which each is counted as the sink gets it. */
export class MemberChunk {
  offset = 0;
  length = 0;
  rawLength = 0;
  /** Of the compressed bytes; empty until the last member was delivered. */
  sha256 = '';
  private readonly hash = createHash('sha256');

  add(offset: number, bytes: Buffer): void {
    if (this.length === 0) this.offset = offset;
    this.length += bytes.length;
    this.hash.update(bytes);
  }

  seal(): void {
    this.sha256 = this.hash.digest('hex');
  }
}
