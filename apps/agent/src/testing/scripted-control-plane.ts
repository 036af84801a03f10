import { CodedError } from '@strideiq/core';
import type {
  AgentHandlers,
  CommandEnvelope,
  Heartbeat,
  Hello,
  Policies,
  Presigned,
  Report,
  ReportAnswers,
  RunProgress,
  Settled,
  SourceUrls,
} from '@strideiq/protocol';
import { serveAgents, type ServedAgents } from '@strideiq/protocol/testing';

type Answer = ReportAnswers['answers'][number];

interface Connection {
  /** What came over it, in the order in which it came. */
  said: string[];
}

/**
 * The other side of the line, over a real socket: records as a control plane has to, and does wrong what a test tells it
 * to. Agents are real here.
 */
export class ScriptedControlPlane {
  readonly credential = 'a-credential-that-is-good-here';
  readonly agentId = '0197f2a0-0000-7000-8000-0000000000aa';
  environment = 'test';
  /** Of its clock beside this machine's. */
  clockOffsetMs = 0;
  /** By journal. */
  readonly marks = new Map<string, number>();
  /** Each once, in the order in which they came first. */
  readonly recorded: Report[] = [];
  /** All that came, those that came again included. */
  readonly received: Report[] = [];
  readonly connections: Connection[] = [];
  readonly hellos: Hello[] = [];
  readonly heartbeats: Heartbeat[] = [];
  readonly settled: Settled[] = [];
  readonly progress: { at: number; runs: RunProgress[] }[] = [];
  readonly acknowledged: string[] = [];
  readonly presigned: Presigned[] = [];
  /** Undefined where it keeps none, as control planes before 0.2 did. */
  policies: Policies | undefined;
  /** Sent on every connection until they are acknowledged. */
  commands: CommandEnvelope[] = [];
  /** Batches that were under way at the same time, at most. */
  mostAtOnce = 0;

  // What a test has it do wrong.
  refuseConnection: CodedError | undefined;
  refuseHello: CodedError | undefined;
  refuseSubscription: CodedError | undefined;
  endSubscription = false;
  /** Why a report is rejected. */
  reject: (report: Report) => { code: string; text: string } | undefined = () => undefined;
  /** Called when a batch is recorded, and before it is answered. */
  beforeAnswer: () => Promise<void> | void = () => undefined;
  sourceUrls: () => Promise<SourceUrls> = () => Promise.reject(new CodedError('CopyUnreachable', 'There is none.'));

  #server: ServedAgents | undefined;
  #port = 0;
  #atOnce = 0;
  #wake = Promise.withResolvers<void>();

  async start(): Promise<void> {
    this.#server = await serveAgents(this.#handlers(), (authorization) => this.#admit(authorization), this.#port);
    this.#port = this.#server.port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get port(): number {
    return this.#port;
  }

  get open(): number {
    return this.#server?.connections ?? 0;
  }

  cut(): void {
    this.#server?.cut();
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
    this.#server = undefined;
  }

  /** Asks for something, now or as soon as the agent is there. */
  send(command: CommandEnvelope): void {
    this.commands.push(command);
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  /** Bodies of recorded reports of a kind, in order. */
  told(kind: Report['kind']): Record<string, unknown>[] {
    return this.recorded.filter((report) => report.kind === kind).map(({ body }) => body);
  }

  /** How a command ended. */
  endOf(commandId: string): Record<string, unknown> | undefined {
    return this.told('command').find((body) => body['commandId'] === commandId);
  }

  /** The last that was told of a run. */
  run(runId: string): Record<string, unknown> | undefined {
    return this.told('run').findLast((body) => body['runId'] === runId);
  }

  /** States of a run, in the order in which they were told. */
  statesOf(runId: string): unknown[] {
    return this.told('run').flatMap((body) => (body['runId'] === runId ? [body['state']] : []));
  }

  get #time(): string {
    return new Date(Date.now() + this.clockOffsetMs).toISOString();
  }

  #admit(authorization: string | undefined): Connection | CodedError {
    if (this.refuseConnection) return this.refuseConnection;
    if (authorization !== `Bearer ${this.credential}`) return new CodedError('CredentialInvalid', 'It is not good.');
    const connection = { said: [] };
    this.connections.push(connection);
    return connection;
  }

  #handlers(): AgentHandlers<Connection> {
    return {
      hello: async ({ said }, hello) => {
        said.push('hello');
        this.hellos.push(hello);
        if (this.refuseHello) throw this.refuseHello;
        const highWater = this.marks.get(hello.journalId) ?? 0;
        const { agentId, environment } = this;
        const keepsPolicies = this.policies !== undefined;
        return {
          protocol: 1,
          agentId,
          environment,
          serverTime: this.#time,
          highWater,
          refusedDatabases: [],
          keepsPolicies,
        };
      },
      report: async ({ said }, { journalId, reports }) => {
        said.push('report');
        this.mostAtOnce = Math.max(this.mostAtOnce, ++this.#atOnce);
        try {
          const answers = reports.map((report) => this.#record(report));
          const highWater = Math.max(this.marks.get(journalId) ?? 0, ...reports.map(({ seq }) => seq));
          this.marks.set(journalId, highWater);
          await this.beforeAnswer();
          return { answers, highWater };
        } finally {
          this.#atOnce--;
        }
      },
      settled: async ({ said }, settled) => {
        said.push('settled');
        this.settled.push(settled);
      },
      heartbeat: async (_, heartbeat) => {
        this.heartbeats.push(heartbeat);
        return { serverTime: this.#time };
      },
      progress: async (_, { runs }) => {
        this.progress.push({ at: performance.now(), runs });
      },
      acknowledge: async ({ said }, { commandId }) => {
        said.push('acknowledge');
        this.acknowledged.push(commandId);
        this.commands = this.commands.filter((command) => command.commandId !== commandId);
      },
      sourceUrls: async () => this.sourceUrls(),
      presigned: async (_, presigned) => {
        this.presigned.push(presigned);
      },
      commands: ({ said }, signal) => this.#commandsTo(said, signal),
      policies: (_, signal) => this.#policiesTo(signal),
    };
  }

  #record(report: Report): Answer {
    const { reportId } = report;
    this.received.push(report);
    if (this.recorded.some((each) => each.reportId === reportId)) return { reportId, answer: 'duplicate' };
    this.recorded.push(report);
    const refusal = this.reject(report);
    return refusal ? { reportId, answer: 'rejected', ...refusal } : { reportId, answer: 'accepted' };
  }

  /** Tells policies, now and anew on every connection. */
  tellPolicies(policies: Policies): void {
    this.policies = policies;
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  async *#policiesTo(signal: AbortSignal): AsyncGenerator<Policies> {
    let sent: Policies | undefined;
    while (!signal.aborted) {
      const woken = this.#wake.promise;
      if (this.policies && this.policies !== sent) yield (sent = this.policies);
      await Promise.race([woken, aborted(signal)]);
    }
  }

  async *#commandsTo(said: string[], signal: AbortSignal): AsyncGenerator<CommandEnvelope> {
    said.push('commands');
    if (this.refuseSubscription) throw this.refuseSubscription;
    const ended = aborted(signal);
    const sent = new Set<string>();
    while (!signal.aborted && !this.endSubscription) {
      const woken = this.#wake.promise;
      for (const command of this.commands.filter(({ commandId }) => !sent.has(commandId))) {
        sent.add(command.commandId);
        yield command;
      }
      await Promise.race([woken, ended]);
    }
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
