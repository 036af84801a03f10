/** Gathers a statement that comes in pieces, as long as it is short. */
export class StatementText {
  private parts: Buffer[] = [];
  private bytes = 0;

  clear(): void {
    this.parts = [];
    this.bytes = 0;
  }

  /** Adds a copy of a piece; what is longer than the limit is let go of. */
  add(piece: Buffer, limitBytes: number): void {
    this.bytes += piece.length;
    if (this.bytes > limitBytes) this.parts = [];
    else this.parts.push(Buffer.from(piece));
  }

  /** All of it, or undefined where it was longer than the limit. */
  whole(limitBytes: number): Buffer | undefined {
    if (this.bytes > limitBytes) return undefined;
    return this.parts.length === 1 ? this.parts[0] : Buffer.concat(this.parts);
  }
}
