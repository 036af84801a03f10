export interface EventStreamOptions {
  headers: Record<string, string>;
}

/** The event `error`, with what went wrong. */
export class StreamBroken extends Event {
  /** An error of the network, or the control plane's answer in its place. */
  readonly failure: unknown;

  constructor(failure: unknown) {
    super('error');
    this.failure = failure;
  }
}

const answerTimeoutMs = 60_000;
const statesOfStream = { CONNECTING: 0, OPEN: 1, CLOSED: 2 } as const;

/**
 * Server-Sent Events over `fetch` (HTML Standard, 9.2), for tRPC's client: Node.js has no EventSource of its own, and the
 * browsers' sends no key. It does not come back by itself when it breaks off: whoever follows decides that.
 */
export class EventStream extends EventTarget {
  readonly CONNECTING = statesOfStream.CONNECTING;
  readonly OPEN = statesOfStream.OPEN;
  readonly CLOSED = statesOfStream.CLOSED;
  readyState: number = statesOfStream.CONNECTING;
  readonly #left = new AbortController();

  constructor(url: string, { headers }: EventStreamOptions) {
    super();
    void this.#read(url, headers);
  }

  close(): void {
    this.readyState = this.CLOSED;
    this.#left.abort();
  }

  async #read(url: string, headers: Record<string, string>): Promise<void> {
    const tooLong = (): void => this.#left.abort(new DOMException('no answer came', 'TimeoutError'));
    const timer = setTimeout(tooLong, answerTimeoutMs);
    try {
      const response = await fetch(url, {
        headers: { ...headers, accept: 'text/event-stream' },
        redirect: 'manual',
        signal: this.#left.signal,
      }).finally(() => clearTimeout(timer));
      if (response.headers.get('content-type')?.startsWith('text/event-stream') !== true || response.body === null) {
        throw await refusalIn(response);
      }
      this.readyState = this.OPEN;
      const events = new EventText((type, data, id) => {
        this.dispatchEvent(new MessageEvent(type, { data, lastEventId: id }));
      });
      for await (const text of response.body.pipeThrough(new TextDecoderStream())) events.take(text);
      throw new Error('the control plane has ended the stream');
    } catch (error) {
      if (this.readyState === this.CLOSED) return;
      this.readyState = this.CLOSED;
      this.dispatchEvent(new StreamBroken(error));
    }
  }
}

/** Why there is no stream: tRPC's own answer where there is one. */
async function refusalIn(response: Response): Promise<unknown> {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return new Error(`it answered ${response.status}`);
  }
}

/** Cuts the stream's text into events. */
class EventText {
  readonly #tell: (type: string, data: string, id: string) => void;
  #rest = '';
  #type = '';
  #data: string[] = [];
  #id = '';

  constructor(tell: (type: string, data: string, id: string) => void) {
    this.#tell = tell;
  }

  take(text: string): void {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#line(line);
  }

  #line(line: string): void {
    if (line === '') return this.#end();
    const [, field, value = ''] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
    if (field === 'event') this.#type = value;
    else if (field === 'data') this.#data.push(value);
    else if (field === 'id') this.#id = value;
  }

  #end(): void {
    // tRPC's pings have a type and no data; an EventSource would pass them over, and they are no use to us but as a sign.
    if (this.#data.length > 0 || this.#type !== '') {
      this.#tell(this.#type || 'message', this.#data.join('\n'), this.#id);
    }
    this.#type = '';
    this.#data = [];
  }
}
