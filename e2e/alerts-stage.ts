import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { waitFor } from '@strideiq/testkit';
import type { AgentHost, RunningAgent } from './agent-host.ts';
import { ControlPlaneServer } from './control-plane-server.ts';
import { HostClock } from './host-clock.ts';

export const minuteMs = 60_000;
export const hourMs = 60 * minuteMs;
export const dayMs = 24 * hourMs;

/** What a channel was told. */
export interface Message {
  kind: string;
  rule: string | null;
  title: string;
  alerts: { text: string }[];
}

/** A service on loopback that alerts are sent to. */
export class Receiver {
  readonly messages: Message[] = [];
  /** What it answers. */
  status = 200;
  readonly #server: Server = createServer((request, response) => {
    void json(request).then((message) => this.messages.push(message as Message));
    response.writeHead(this.status).end();
  });

  async start(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  stop(): void {
    this.#server.close();
  }
}

/** A control plane with a channel that hears everything, and hosts, on one clock that the test sets. */
export class AlertsStage {
  readonly team = new Receiver();
  readonly clock = new HostClock(Date.now());
  #server: ControlPlaneServer | undefined;
  #now = Date.now();
  readonly #daemons = new Map<AgentHost, RunningAgent | undefined>();
  /** Set with the others, by so much more. */
  readonly #others: { clock: HostClock; moreMs: number }[] = [];

  /** @param channels beside the one that hears everything */
  async start(channels: Record<string, object> = {}): Promise<void> {
    await this.team.start();
    const team = { type: 'webhook', url: this.team.url, severity: 'info' };
    this.#server = new ControlPlaneServer(this.clock.env, { channels: { team, ...channels } });
    await this.#server.start();
  }

  get server(): ControlPlaneServer {
    if (!this.#server) throw new Error('not started');
    return this.#server;
  }

  get now(): number {
    return this.#now;
  }

  /** A clock that goes wrong by what `setOff` says. */
  otherClock(): { clock: HostClock; setOff: (moreMs: number) => void } {
    const other = { clock: new HostClock(this.#now), moreMs: 0 };
    this.#others.push(other);
    return {
      clock: other.clock,
      setOff: (moreMs) => {
        other.moreMs = moreMs;
        other.clock.set(this.#now + moreMs);
      },
    };
  }

  /** @returns the id of the database that the host is named after */
  async enrol(host: AgentHost): Promise<string> {
    this.#daemons.set(host, undefined);
    this.#daemons.set(host, await this.server.enrol(host));
    return (await this.server.connected(host)).databaseId;
  }

  async kill(host: AgentHost): Promise<void> {
    const daemon = this.#daemons.get(host);
    daemon?.process.kill('SIGKILL');
    await daemon?.result;
  }

  async startAgain(host: AgentHost): Promise<void> {
    this.#daemons.set(host, host.start('run'));
    await this.server.connected(host);
  }

  pass(ms: number): void {
    this.#now += ms;
    this.clock.set(this.#now);
    for (const { clock, moreMs } of this.#others) clock.set(this.#now + moreMs);
  }

  /** Rules of which something is open. */
  async open(): Promise<string[]> {
    const { items } = await this.server.get<{ items: { rule: string }[] }>('/alerts?limit=200');
    return items.map(({ rule }) => rule);
  }

  /** Time goes on, a minute at a time, until rules are open, or are not any more, and have been told. */
  async until(kind: 'opened' | 'resolved', ...rules: string[]): Promise<void> {
    let lacking = rules;
    const isThere = async () => {
      this.pass(minuteMs);
      const told = this.team.messages.filter((message) => message.kind === kind).map(({ rule }) => rule);
      const isOpen = await this.open();
      lacking = rules.filter((rule) => !told.includes(rule) || isOpen.includes(rule) !== (kind === 'opened'));
      return lacking.length === 0;
    };
    const waiting = waitFor(`${rules.join(', ')} to be ${kind}`, isThere, { timeoutMs: 240_000, everyMs: 1000 });
    await waiting.catch((cause: unknown) => {
      throw new Error(`${lacking.join(', ')} not ${kind}`, { cause });
    });
  }

  async backUp(databaseId: string, state = 'succeeded'): Promise<void> {
    const run = await this.server.ended(await this.server.ask('/backups', { databaseId }));
    if (run.state !== state) throw new Error(`the backup ${run.state}: ${JSON.stringify(run['error'])}`);
  }

  async stop(): Promise<void> {
    for (const host of this.#daemons.keys()) {
      await this.kill(host);
      host.remove();
    }
    await this.#server?.remove();
    this.clock.remove();
    for (const { clock } of this.#others) clock.remove();
    this.team.stop();
  }
}
