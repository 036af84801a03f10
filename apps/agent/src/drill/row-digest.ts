import { hash } from 'node:crypto';

const newline = 0x0a;

/**
 * A digest of lines as a multiset: the same for the same lines in another order. Sums of 64 bits of each line's SHA-1, so
 * that two that differ by accident agree once in 2^64 (a dump that somebody has made to agree is no accident; against
 * that its chunks are hashed and signed).
 */
export class RowDigest {
  rows = 0;
  #low = 0;
  #high = 0;
  #carry: Buffer[] = [];

  /** @param bytes of lines, cut anywhere; copied where they are kept */
  add(bytes: Buffer): void {
    let from = 0;
    for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, from)) {
      this.#line(bytes.subarray(from, end));
      from = end + 1;
    }
    if (from < bytes.length) this.#carry.push(Buffer.from(bytes.subarray(from)));
  }

  #line(end: Buffer): void {
    const line = this.#carry.length === 0 ? end : Buffer.concat([...this.#carry, end]);
    this.#carry = [];
    const digest = hash('sha1', line, 'buffer');
    this.#low = (this.#low + digest.readUInt32LE(0)) >>> 0;
    this.#high = (this.#high + digest.readUInt32LE(4)) >>> 0;
    this.rows += 1;
  }

  /** Number of lines, and their sums. */
  get text(): string {
    return `${this.rows} ${this.#high.toString(16)} ${this.#low.toString(16)}`;
  }
}
