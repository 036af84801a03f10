import { databaseIdOf, newId, newSigningKey, storeIdOf, type SigningKey } from '@strideiq/core';
import {
  enrolmentProof,
  openAgentClient,
  type AgentClient,
  type CommandEnvelope,
  type DeclaredDatabase,
  type DeclaredStore,
  type Hello,
  type HelloAnswer,
  type Policies,
  type Report,
  type ReportAnswers,
  type ReportBodies,
} from '@strideiq/protocol';
import { s3LocationOf } from '@strideiq/storage';
import type { TestGateway } from './gateway.ts';

/** What a host must be able to reach. */
export type ReachedByHosts = Pick<TestGateway, 'now' | 'url' | 'enrolment'>;

/** A database host as the control plane sees one: it enrols, connects, and says what the test has it say. */
export class TestHost {
  readonly hostname: string;
  readonly environment: string;
  readonly key: SigningKey;
  readonly journalId: string;
  agentId = '';
  credential = '';
  databases: DeclaredDatabase[] = [];
  commandKinds = ['backup', 'verify', 'restoreFresh', 'restoreTables', 'restoreInPlace', 'drill', 'cancel', 'presign'];
  /** Beside the stores of its databases. */
  otherStoreIds: string[] = [];
  /** Of its newest report. */
  seq = 0;
  readonly #gateway: ReachedByHosts;

  constructor(gateway: ReachedByHosts, environment: string, hostname: string) {
    this.#gateway = gateway;
    this.environment = environment;
    this.hostname = hostname;
    this.key = newSigningKey();
    this.journalId = newId(gateway.now());
  }

  enrol(): this {
    const { enrolment } = this.#gateway;
    const { token } = enrolment.createToken({ environment: this.environment, by: 'local' });
    const { agentId, credential } = enrolment.enrol({
      token,
      environment: this.environment,
      hostname: this.hostname,
      agentVersion: '0.1.0',
      publicKeyPem: this.key.publicPem,
      proof: enrolmentProof(token, this.key.privatePem),
    });
    this.agentId = agentId;
    this.credential = credential;
    return this;
  }

  /** Names a database in the host's file. */
  looksAfter(name: string, more: Partial<DeclaredDatabase> = {}): this {
    const stores = more.stores ?? [this.directory(`/backups/${name}`)];
    const allow = ['backup', 'verify', 'restoreFresh', 'restoreTables', 'drill', 'cancel', 'presign'];
    this.databases.push({ name, allow, policy: { schedule: '0 3 * * *' }, ...more, stores });
    return this;
  }

  directory(path: string, name = 'local'): DeclaredStore {
    const storeId = storeIdOf({ type: 'directory', host: this.hostname, path });
    return { storeId, name, type: 'directory', location: path };
  }

  databaseId(name = this.databases[0]?.name ?? ''): string {
    return databaseIdOf(this.environment, name);
  }

  storeId(at = 0, database = 0): string {
    return this.databases[database]?.stores[at]?.storeId ?? '';
  }

  helloMessage(more: Partial<Hello> = {}): Hello {
    const named = this.databases.flatMap(({ stores }) => stores.map(({ storeId }) => storeId));
    return {
      protocol: { min: 1, max: 1 },
      agentVersion: '0.1.0',
      hostname: this.hostname,
      sentAt: new Date(this.#gateway.now()).toISOString(),
      commandKinds: this.commandKinds,
      journalId: this.journalId,
      lastSeq: this.seq,
      databases: this.databases,
      reachableStoreIds: [...named, ...this.otherStoreIds],
      ...more,
    };
  }

  /** The next report of its journal. */
  report<Kind extends keyof ReportBodies>(kind: Kind, body: ReportBodies[Kind]): Report {
    const at = this.#gateway.now();
    return { reportId: newId(at), seq: ++this.seq, kind, at: new Date(at).toISOString(), body };
  }

  /** Opens a connection, and says nothing yet. */
  open(credential = this.credential): TestLink {
    return new TestLink(this, this.#gateway.url, credential);
  }

  /** Connects, says hello, and takes commands. */
  async connect(more: Partial<Hello> = {}): Promise<TestLink> {
    const link = this.open();
    await link.hello(more);
    link.subscribe();
    return link;
  }
}

/** One connection of a host. */
export class TestLink {
  readonly client: AgentClient;
  readonly commands: (CommandEnvelope & { runId?: string })[] = [];
  /** As they were told, one after another. */
  readonly policies: Policies[] = [];
  /** Why it ended. */
  readonly closed: Promise<string>;
  welcome: HelloAnswer | undefined;
  isClosed = false;
  readonly #host: TestHost;

  constructor(host: TestHost, url: string, credential: string) {
    this.#host = host;
    const { promise, resolve } = Promise.withResolvers<string>();
    this.closed = promise;
    const onClose = (why: string) => {
      this.isClosed = true;
      resolve(why);
    };
    this.client = openAgentClient({ url, credential, onClose });
  }

  get api(): AgentClient['api'] {
    return this.client.api;
  }

  async hello(more: Partial<Hello> = {}): Promise<HelloAnswer> {
    this.welcome = await this.api.hello.mutate(this.#host.helloMessage(more));
    return this.welcome;
  }

  subscribe(): void {
    // Errors show themselves in what the tests wait for.
    this.api.commands.subscribe(undefined, {
      onData: (command) => this.commands.push(command as CommandEnvelope),
      onError: () => {},
    });
    this.api.policies.subscribe(undefined, { onData: (told) => this.policies.push(told), onError: () => {} });
  }

  async send(...reports: Report[]): Promise<ReportAnswers> {
    return await this.api.report.mutate({ journalId: this.#host.journalId, reports });
  }

  async close(): Promise<void> {
    this.client.close();
    await this.closed;
  }
}

/** A store in a bucket, as agents declare one. */
export function bucketStore(prefix: string, bucket = 'backups', endpoint = 'https://s3.example.com'): DeclaredStore {
  const place = s3LocationOf({ bucket, prefix, endpoint });
  const s3 = { bucket, prefix: place.prefix, endpoint };
  return { storeId: storeIdOf(place), name: 's3', type: 's3', location: `s3://${bucket}/${place.prefix}`, s3 };
}
