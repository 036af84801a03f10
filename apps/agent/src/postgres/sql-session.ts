import type { Connection } from './connect.ts';

/** What PostgreSQL answered to a statement: its command tag, such as `COPY 120`. */
export interface StatementResult {
  tag: string;
}

/** The parts of `pg`'s connection that are used here; its types do not tell of them. */
interface WireConnection {
  stream: { write(bytes: Uint8Array, written?: () => void): boolean; destroyed: boolean };
}

const [query, copyData, copyDone, copyFail] = [0x51, 0x64, 0x63, 0x66];

/** A message of the frontend protocol: type, length with itself, body (PostgreSQL docs, "Message Formats"). */
function message(type: number, ...body: Uint8Array[]): Buffer {
  const length = body.reduce((sum, piece) => sum + piece.length, 4);
  const head = Buffer.alloc(5);
  head.writeUInt8(type, 0);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, ...body]);
}

/**
 * Runs a dump's statements as the bytes they are: `pg` itself would send text as UTF-8, and a dump may be in any
 * encoding. One statement at a time.
 */
export class SqlSession {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /**
   * @param sql one statement, as it stands in the dump
   * @throws pg.DatabaseError as PostgreSQL sent it
   */
  async run(sql: Uint8Array): Promise<StatementResult> {
    return this.#submit(new RawStatement(sql));
  }

  /**
   * Runs `COPY … FROM stdin` with these rows. Rows that throw fail the COPY, so that none of it stays.
   * @returns the tag, whose number is the rows that PostgreSQL took
   */
  async copyIn(header: Uint8Array, rows: AsyncIterable<Uint8Array>): Promise<StatementResult> {
    return this.#submit(new RawStatement(header, rows));
  }

  async #submit(statement: RawStatement): Promise<StatementResult> {
    const result = statement.result;
    const lost = () => statement.handleError(new Error('the connection to the server was lost'));
    this.#connection.once('end', lost);
    try {
      this.#connection.query(statement as never);
      return await result;
    } finally {
      this.#connection.off('end', lost);
    }
  }
}

/** What `pg` calls a Submittable: it is told of each message that answers it. */
class RawStatement {
  readonly #sql: Uint8Array;
  readonly #rows: AsyncIterable<Uint8Array> | undefined;
  readonly #done = Promise.withResolvers<StatementResult>();
  #tag = '';
  #error: Error | undefined;
  #sending: Promise<void> | undefined;
  #stopped = false;
  #connection: WireConnection | undefined;

  constructor(sql: Uint8Array, rows?: AsyncIterable<Uint8Array>) {
    this.#sql = sql;
    this.#rows = rows;
  }

  get result(): Promise<StatementResult> {
    return this.#done.promise;
  }

  submit(connection: WireConnection): void {
    this.#connection = connection;
    connection.stream.write(message(query, this.#sql, Buffer.of(0)));
  }

  handleCopyInResponse(): void {
    this.#sending = this.#sendRows();
  }

  /** Rows in pieces of any size; the server sets the pace. An error from the server ends the sending. */
  async #sendRows(): Promise<void> {
    const stream = this.#connection?.stream;
    if (!stream) return;
    try {
      for await (const rows of this.#rows ?? []) {
        if (this.#stopped || stream.destroyed) return;
        const head = Buffer.alloc(5);
        head.writeUInt8(copyData, 0);
        head.writeUInt32BE(rows.length + 4, 1);
        stream.write(head);
        // The bytes are the reader's again once the next piece is asked for: they must have left by then.
        await written(stream, rows);
      }
      if (!this.#stopped) stream.write(message(copyDone));
    } catch (error) {
      this.#error = error as Error;
      if (!this.#stopped) stream.write(message(copyFail, Buffer.from('the dump could not be read on\0')));
    }
  }

  handleRowDescription(): void {
    // setval and the like answer rows that nobody needs
  }
  handleDataRow(): void {}
  /** A statement that sends rows out is no part of a dump; what it says is let go of. */
  handleCopyData(): void {}
  handleEmptyQuery(): void {}
  handlePortalSuspended(): void {}
  handleParseComplete(): void {}

  handleCommandComplete(answer: { text: string }): void {
    this.#tag = answer.text;
  }

  /** Where our own reading failed first, that is the error to tell, not the server's echo of it. */
  handleError(error: Error): void {
    this.#stopped = true;
    this.#error ??= error;
    void this.#settle();
  }

  handleReadyForQuery(): void {
    void this.#settle();
  }

  async #settle(): Promise<void> {
    this.#stopped = true;
    await this.#sending;
    if (this.#error) this.#done.reject(this.#error);
    else this.#done.resolve({ tag: this.#tag });
  }
}

async function written(stream: WireConnection['stream'], bytes: Uint8Array): Promise<void> {
  await new Promise<void>((resolve) => {
    // A stream that is destroyed calls back with an error, which the session hears of by itself.
    stream.write(bytes, () => resolve());
  });
}
