import type { Socket } from 'node:net';
import { AgentError } from '../errors.ts';
import type { Connection } from './connect.ts';
import { OneBufferSocket } from './one-buffer-socket.ts';
import { ServerError } from './server-error.ts';

/**
 * Takes bytes `from` … `to` of a row, the last of which `endsRow`; they are looked at no more once it has returned or its
 * promise has resolved. A promise holds the server back.
 */
export type TakeRow = (bytes: Buffer, from: number, to: number, endsRow: boolean) => Promise<void> | undefined;

/** Where a COPY is, for whoever watches it. */
export interface CopyWatch {
  /** When the server last gave something, or was last let wait; milliseconds of `performance.now()`. */
  lastMovedAt: number;
  waitingForUs: boolean;
}

const headBytes = 5;
/** Of one message that is no row: an error that is longer is cut. */
const mostMessageBytes = 65_536;
const [query, copyData, commandComplete, errorResponse, readyForQuery] = [0x51, 0x64, 0x43, 0x45, 0x5a];

/**
 * Runs `COPY … TO STDOUT` and hands its rows on as they lie in the socket's own buffers: `pg` would make an object of each.
 * The connection must be idle, and is so again afterwards.
 * @param sql in the encoding of the session
 * @returns how many rows came: what the server says too
 * @throws ServerError as the server sent it; AgentError `ConnectionLost`; what `take` threw, and the connection is then cut
 */
export async function copyOut(
  connection: Connection,
  sql: Buffer,
  take: TakeRow,
  watch: CopyWatch = { lastMovedAt: 0, waitingForUs: false },
): Promise<number> {
  const { stream } = connection.connection as unknown as { stream: Socket };
  const copy = new CopyStream(stream, take, watch);
  // pg's own reader, which gets what is left over once the server is ready again.
  const readers = stream.listeners('data') as ((bytes: Buffer) => void)[];
  stream.on('data', copy.onData);
  for (const reader of readers) stream.off('data', reader);
  stream.once('error', copy.onError);
  stream.once('close', copy.onClose);
  const lend = (lends: boolean) => {
    if (stream instanceof OneBufferSocket) stream.lends = lends;
  };
  lend(true);
  try {
    if (stream.destroyed) copy.onClose();
    const head = Buffer.alloc(headBytes);
    head.writeUInt8(query, 0);
    head.writeUInt32BE(sql.length + headBytes, 1);
    stream.write(Buffer.concat([head, sql, Buffer.of(0)]));
    return await copy.rows;
  } finally {
    lend(false);
    for (const reader of readers) stream.on('data', reader);
    stream.off('data', copy.onData);
    stream.off('error', copy.onError);
    stream.off('close', copy.onClose);
    if (copy.left.length > 0) for (const reader of readers) reader(copy.left);
  }
}

/** Takes the server's messages apart (PostgreSQL docs, "Message Formats"). Nothing is made anew for a row. */
class CopyStream {
  left: Buffer = Buffer.alloc(0);
  readonly #stream: Socket;
  readonly #take: TakeRow;
  readonly #watch: CopyWatch;
  readonly #done = Promise.withResolvers<number>();
  #isDone = false;
  #error: Error | undefined;
  #rows = 0;
  #tag = '';
  /** Of the message under way: what was read of its head, its type, and bytes of its body that are still to come. */
  readonly #head = Buffer.alloc(headBytes);
  #headBytes = 0;
  #type = 0;
  #leftBytes = 0;
  #message: Buffer[] = [];
  #messageBytes = 0;

  constructor(stream: Socket, take: TakeRow, watch: CopyWatch) {
    this.#stream = stream;
    this.#take = take;
    this.#watch = watch;
    watch.lastMovedAt = performance.now();
  }

  get rows(): Promise<number> {
    return this.#done.promise;
  }

  readonly onData = (bytes: Buffer): void => {
    this.#watch.lastMovedAt = performance.now();
    this.#goOn(bytes, 0);
  };

  readonly onError = (error: Error): void => {
    this.#error ??= error;
  };

  readonly onClose = (): void => {
    this.#fail(this.#error instanceof AgentError ? this.#error : connectionLost(this.#error));
  };

  #goOn(bytes: Buffer, from: number): void {
    try {
      for (let at = from; at < bytes.length && !this.#isDone;) {
        if (this.#leftBytes === 0) {
          at = this.#readHead(bytes, at);
          if (this.#headBytes > 0) return;
        }
        const end = Math.min(bytes.length, at + this.#leftBytes);
        this.#leftBytes -= end - at;
        const ends = this.#leftBytes === 0;
        if (this.#type === copyData) {
          if (ends) this.#rows++;
          const wait = this.#take(bytes, at, end, ends);
          if (wait) {
            void this.#holdBack(wait, bytes, end);
            return;
          }
        } else this.#readOther(bytes.subarray(at, end), ends, bytes, end);
        at = end;
      }
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  /** @returns where the body begins; the head is whole where none of it is kept */
  #readHead(bytes: Buffer, from: number): number {
    let at = from;
    let head = bytes;
    let headAt = at;
    if (this.#headBytes > 0 || bytes.length - at < headBytes) {
      const taken = bytes.copy(
        this.#head,
        this.#headBytes,
        at,
        Math.min(bytes.length, at + headBytes - this.#headBytes),
      );
      this.#headBytes += taken;
      at += taken;
      if (this.#headBytes < headBytes) return at;
      head = this.#head;
      headAt = 0;
      this.#headBytes = 0;
    } else at += headBytes;
    this.#type = head[headAt] as number;
    this.#leftBytes = head.readUInt32BE(headAt + 1) - 4;
    return at;
  }

  async #holdBack(wait: Promise<void>, bytes: Buffer, from: number): Promise<void> {
    this.#stream.pause();
    this.#watch.waitingForUs = true;
    try {
      await wait;
    } catch (error) {
      this.#fail(error as Error);
      return;
    } finally {
      this.#watch.waitingForUs = false;
      this.#watch.lastMovedAt = performance.now();
    }
    this.#stream.resume();
    this.#goOn(bytes, from);
  }

  #readOther(piece: Buffer, ends: boolean, bytes: Buffer, end: number): void {
    if (this.#messageBytes < mostMessageBytes) this.#message.push(Buffer.from(piece));
    this.#messageBytes += piece.length;
    if (!ends) return;
    const message = Buffer.concat(this.#message);
    this.#message = [];
    this.#messageBytes = 0;
    if (this.#type === commandComplete) this.#tag = message.toString('latin1', 0, message.length - 1);
    if (this.#type === errorResponse) this.#error ??= ServerError.read(message);
    if (this.#type === readyForQuery) this.#finish(bytes.subarray(end));
  }

  #finish(left: Buffer): void {
    this.#isDone = true;
    this.left = Buffer.from(left);
    if (this.#error) this.#done.reject(this.#error);
    else if (this.#tag === `COPY ${this.#rows}`) this.#done.resolve(this.#rows);
    else this.#done.reject(new Error(`the server says ${this.#tag} where ${this.#rows} rows came`));
  }

  /** Whatever else the server sends is of no use, and there may be much of it. */
  #fail(error: Error): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#done.reject(error);
    this.#stream.destroy();
  }
}

function connectionLost(cause: Error | undefined): AgentError {
  return new AgentError(
    'ConnectionLost',
    `The connection to the server was lost${cause ? `: ${cause.message}` : ''}.`,
    'Look whether the server was restarted or the session ended, and run the command again.',
    { cause },
  );
}
