import { Agent as HttpAgent, get as httpGet, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, get as httpsGet } from 'node:https';
import { StorageError } from '@strideiq/storage';

/** What a server answered; its body is read by `bodyOf`, or ended by `destroy`. */
export interface HttpAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  body: IncomingMessage;
}

/** Connections that are kept between requests, and ended together. */
export class HttpConnections {
  readonly #http = new HttpAgent({ keepAlive: true });
  readonly #https = new HttpsAgent({ keepAlive: true });
  readonly #silenceMs: number;

  /** @param silenceMs how long a server may say nothing while it is waited for */
  constructor(silenceMs: number) {
    this.#silenceMs = silenceMs;
  }

  /**
   * Asks for what stands at a URL. Redirections are not followed.
   * @param what names it in errors: the URL itself may be a secret
   * @throws StorageError `StorageUnreachable`; the signal's reason once that aborts
   */
  async get(
    url: string,
    { what, headers, signal }: { what: string; headers: Record<string, string>; signal: AbortSignal | undefined },
  ): Promise<HttpAnswer> {
    signal?.throwIfAborted();
    const secure = new URL(url).protocol === 'https:';
    const options = { headers, agent: secure ? this.#https : this.#http, ...(signal ? { signal } : {}) };
    const request = secure ? httpsGet(url, options) : httpGet(url, options);
    const timer = setTimeout(() => request.destroy(this.#silent(what)), this.#silenceMs);
    try {
      const body = await new Promise<IncomingMessage>((resolve, reject) => {
        request.on('response', resolve);
        // Also after the answer, where the body's own reader hears of it.
        request.on('error', reject);
      });
      // Whoever reads it hears of it; that nobody does yet is no reason to end the program.
      body.on('error', () => undefined);
      return { status: body.statusCode ?? 0, headers: body.headers, body };
    } catch (error) {
      signal?.throwIfAborted();
      throw unreachable(what, error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** The bytes of a body. The server's silence is what is timed, never the reader's. */
  async *bodyOf({ body, headers }: HttpAnswer, what: string, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    const chunks = body[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
    const expectedBytes = headers['content-length'] === undefined ? undefined : Number(headers['content-length']);
    let receivedBytes = 0;
    try {
      for (;;) {
        signal?.throwIfAborted();
        const timer = setTimeout(() => body.destroy(this.#silent(what)), this.#silenceMs);
        const next = await chunks.next().finally(() => {
          clearTimeout(timer);
        });
        if (next.done === true) break;
        receivedBytes += next.value.length;
        yield next.value;
      }
      if (expectedBytes !== undefined && receivedBytes !== expectedBytes) {
        throw unreachable(what, new Error(`it ended after ${receivedBytes} of ${expectedBytes} bytes`));
      }
    } catch (error) {
      signal?.throwIfAborted();
      throw unreachable(what, error);
    } finally {
      body.destroy();
    }
  }

  #silent(what: string): StorageError {
    return unreachable(what, new Error(`no byte came for ${this.#silenceMs / 1000} s`));
  }

  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }
}

function unreachable(what: string, cause: unknown): StorageError {
  if (cause instanceof StorageError) return cause;
  const why = cause instanceof AggregateError ? cause.errors.map(String).join('; ') : (cause as Error).message;
  return new StorageError(
    'StorageUnreachable',
    `${what} could not be read: ${why}.`,
    'See that the server it lies on is reachable from this host, firewall and proxies included.',
    { cause },
  );
}
