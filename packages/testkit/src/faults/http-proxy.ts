import { once } from 'node:events';
import { Agent, createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';

/** An answer that S3 gives with a body of XML (docs: Amazon S3 API, Error Responses). */
export interface S3ErrorAnswer {
  /** 500, 503, 403 … */
  status: number;
  /** `InternalError`, `SlowDown`, `AccessDenied` … */
  code: string;
  message?: string;
}

/**
 * What a matching request meets:
 * - an error answer, once its body has been read; the server behind never sees the request
 * - `reset`: the connection is reset as soon as the request's headers are there
 * - `stall`: no answer ever comes, and no byte of the body is read
 * - `drop`: the request is carried out and the connection reset in place of the answer
 * - `truncate`: the answer breaks off half-way
 */
export type HttpFault = S3ErrorAnswer | 'reset' | 'stall' | 'drop' | 'truncate';

export interface HttpRule {
  /** Which requests; all where nothing is said. */
  method?: string;
  /** Part of the path as it is sent, without the query. */
  pathIncludes?: string;
  /** Part of the query as it is sent: `partNumber=2`. */
  queryIncludes?: string;
  /** The first request to meet the fault, counted from 1 among those that match. Default 1. */
  nth?: number;
  /** How many meet it from there on. Default 1 where `nth` is given, else all. */
  times?: number;
  fault: HttpFault;
}

/** A request as the proxy saw it. */
export interface SeenRequest {
  method: string;
  path: string;
  query: string;
  headers: NodeJS.Dict<string | string[]>;
  /** Of the body as it arrived. */
  bodyBytes: number;
  /** Of the answer's body, as far as it was handed on. */
  answerBytes: number;
  /** What the server behind answered; undefined where it was not asked or did not answer. */
  status?: number;
  /** The fault that it met. */
  fault?: HttpFault;
}

/** Stands before an S3 server; hands every byte on as it is, but for the requests that a rule picks. */
export class HttpFaultProxy {
  readonly host = '127.0.0.1';
  /** Every request since the start, in the order in which their headers came. */
  readonly requests: SeenRequest[] = [];
  readonly #to: URL;
  readonly #server: Server;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #rules: { rule: HttpRule; matched: number }[] = [];

  /** @internal Proxies are made by {@link startHttpFaultProxy}. */
  constructor(to: URL) {
    this.#to = to;
    const handle = (incoming: IncomingMessage, answer: ServerResponse): void => {
      // A side that breaks off takes the other with it; who sent the request sees that as it would without us.
      this.#handle(incoming, answer).catch(() => incoming.socket.resetAndDestroy());
    };
    this.#server = createServer({ requestTimeout: 0, headersTimeout: 0 }, handle);
    this.#server.on('checkContinue', handle);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get endpoint(): string {
    return `http://${this.host}:${this.port}`;
  }

  /** Adds a rule; where several match a request, the first added wins. */
  add(rule: HttpRule): void {
    this.#rules.push({ rule, matched: 0 });
  }

  /** Takes all rules away; requests that stall already go on stalling. */
  clear(): void {
    this.#rules.length = 0;
  }

  /** @internal */
  async listen(): Promise<void> {
    this.#server.listen(0, this.host);
    await once(this.#server, 'listening');
  }

  /** Ends all connections, stalled ones included. */
  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    this.#agent.destroy();
    await closed;
  }

  #pick(seen: SeenRequest): HttpFault | undefined {
    for (const entry of this.#rules) {
      const { method, pathIncludes = '', queryIncludes = '', nth = 1, fault } = entry.rule;
      const matches = method === undefined || method === seen.method;
      if (!matches || !seen.path.includes(pathIncludes) || !seen.query.includes(queryIncludes)) continue;
      entry.matched += 1;
      const times = entry.rule.times ?? (entry.rule.nth === undefined ? Infinity : 1);
      if (entry.matched >= nth && entry.matched < nth + times) return fault;
    }
    return undefined;
  }

  async #handle(incoming: IncomingMessage, answer: ServerResponse): Promise<void> {
    const [path = '', query = ''] = (incoming.url ?? '').split('?', 2);
    const { method = 'GET', headers } = incoming;
    const seen: SeenRequest = { method, path, query, headers, bodyBytes: 0, answerBytes: 0 };
    this.requests.push(seen);
    const fault = this.#pick(seen);
    if (fault !== undefined) seen.fault = fault;
    if (fault === 'stall') return;
    if (fault === 'reset') {
      incoming.socket.resetAndDestroy();
      return;
    }
    if (headers.expect !== undefined) answer.writeContinue();
    if (typeof fault === 'object') {
      for await (const bytes of incoming) seen.bodyBytes += (bytes as Buffer).length;
      sendError(answer, fault, path);
      return;
    }
    await this.#forward(incoming, answer, seen);
  }

  async #forward(incoming: IncomingMessage, answer: ServerResponse, seen: SeenRequest): Promise<void> {
    const { hostname: host, port } = this.#to;
    // Raw headers, Host among them, keep their case and order: the signature covers them. We have answered `Expect` ourselves.
    const headers = withoutHeader(incoming.rawHeaders, 'expect');
    const target = { host, port, method: seen.method, path: incoming.url, headers, setHost: false, agent: this.#agent };
    const outgoing = request(target);
    const answered = once(outgoing, 'response') as Promise<[IncomingMessage]>;
    incoming.on('data', (bytes: Buffer) => (seen.bodyBytes += bytes.length));
    const sent = pipeline(incoming, outgoing);
    // A server may answer and close before it has read the body: its answer is what counts then.
    sent.catch(() => {});
    const [upstream] = await Promise.race([answered, sent.then(() => answered)]);
    seen.status = upstream.statusCode ?? 0;
    if (seen.fault === 'drop') {
      upstream.resume();
      await once(upstream, 'end');
      incoming.socket.resetAndDestroy();
      return;
    }
    answer.writeHead(upstream.statusCode ?? 502, upstream.statusMessage, upstream.rawHeaders);
    if (seen.fault === 'truncate') {
      seen.answerBytes = await sendHalf(upstream, answer);
      incoming.socket.resetAndDestroy();
      return;
    }
    upstream.on('data', (bytes: Buffer) => (seen.answerBytes += bytes.length));
    await pipeline(upstream, answer);
  }
}

/**
 * Half of a body of known length, and at least nothing of one without.
 * @returns bytes sent
 */
async function sendHalf(upstream: IncomingMessage, answer: ServerResponse): Promise<number> {
  const half = Math.floor(Number(upstream.headers['content-length'] ?? 0) / 2);
  let leftBytes = half;
  answer.flushHeaders();
  for await (const bytes of upstream) {
    const part = (bytes as Buffer).subarray(0, leftBytes);
    leftBytes -= part.length;
    if (part.length > 0) await new Promise<void>((resolve) => answer.write(part, () => resolve()));
    if (leftBytes === 0) break;
  }
  return half - leftBytes;
}

function sendError(answer: ServerResponse, { status, code, message = code }: S3ErrorAnswer, path: string): void {
  const body =
    '<?xml version="1.0" encoding="UTF-8"?>\n' +
    `<Error><Code>${code}</Code><Message>${message}</Message><Resource>${path}</Resource><RequestId>testkit</RequestId></Error>`;
  answer.writeHead(status, {
    'content-type': 'application/xml',
    'content-length': Buffer.byteLength(body),
    'x-amz-request-id': 'testkit',
  });
  answer.end(body);
}

function withoutHeader(raw: readonly string[], name: string): string[] {
  return raw.filter((_, at) => raw[at - (at % 2)]?.toLowerCase() !== name);
}

/** @param options `to`: the server behind, as `http://127.0.0.1:8080` */
export async function startHttpFaultProxy(options: { to: string }): Promise<HttpFaultProxy> {
  const proxy = new HttpFaultProxy(new URL(options.to));
  await proxy.listen();
  return proxy;
}
