import { agentPath, commandSchema, helloSchema, type Command } from '@strideiq/protocol';
import { once, type Store } from '@strideiq/storage';
import { waitFor } from '@strideiq/testkit';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { backups, commands, copies, enrolTokens, environments, reports, runs } from '../catalog/schema.ts';
import { handleEnrol } from '../enrolment/handle-enrol.ts';
import { startGateway, type TestGateway } from '../testing/gateway.ts';
import { TestHost } from '../testing/host.ts';

/**
 * What agents of every earlier version have said to a control plane of theirs, said to this one as it was
 * (packages/protocol/README.md). The file is read as text and sent as it stands: also the frames are part of it.
 */

interface Recorded {
  file: string;
  connection: number;
  from: 'agent' | 'control-plane';
  path?: string;
  message: Frame;
}

interface Frame {
  id?: number;
  params?: { path: string; input?: unknown };
  result?: { type?: string; data?: unknown };
  error?: unknown;
}

const folder = join(dirname(createRequire(import.meta.url).resolve('@strideiq/protocol')), '../fixtures');
const versions = readdirSync(folder);

let gateway: TestGateway;
const sockets: WebSocket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.terminate();
  await gateway.stop();
});

function recordedIn(version: string): Recorded[] {
  return readdirSync(join(folder, version))
    .sort((a, b) => (a < b ? -1 : 1))
    .map((file) => ({
      ...(JSON.parse(readFileSync(join(folder, version, file), 'utf8')) as Omit<Recorded, 'file'>),
      file,
    }));
}

/** One agent's connection, that says what was recorded and nothing else. */
class Played {
  readonly agentId: string;
  readonly #socket: WebSocket;
  readonly #heard: Frame[] = [];

  private constructor(agentId: string, socket: WebSocket) {
    this.agentId = agentId;
    this.#socket = socket;
    socket.on('message', (data: Buffer) => {
      const text = data.toString();
      if (text.startsWith('{')) this.#heard.push(JSON.parse(text) as Frame);
    });
  }

  static async open({ agentId, credential }: { agentId: string; credential: string }): Promise<Played> {
    const headers = { authorization: `Bearer ${credential}` };
    const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}${agentPath}`, { headers });
    sockets.push(socket);
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    return new Played(agentId, socket);
  }

  /** What is answered to it. */
  async say(frame: Frame): Promise<Frame> {
    const before = this.#heard.length;
    this.#socket.send(JSON.stringify(frame));
    return await waitFor('an answer', () => this.#heard.slice(before).find(({ id }) => id === frame.id));
  }
}

/** The command as the control plane of then had made it, with its run. */
function hadAsked({ agentId }: Played, command: Command): void {
  const { commandId: id, kind, databaseId, body } = command;
  const runId = 'runId' in command ? command.runId : null;
  const [issuedAt, expiresAt] = [Date.parse(command.issuedAt), Date.parse(command.expiresAt)];
  gateway.catalog
    .insert(commands)
    .values({
      id,
      agentId,
      kind,
      databaseId,
      runId,
      state: 'delivered',
      body,
      issuedAt,
      expiresAt,
      deliveredAt: issuedAt,
    })
    .run();
  if (runId === null) return;
  const runKind = kind.startsWith('restore') ? 'restore' : kind;
  gateway.catalog
    .insert(runs)
    .values({ id: runId, kind: runKind, databaseId, agentId, state: 'dispatched', commandId: id, createdAt: issuedAt })
    .run();
}

/** A token as the one that was used then, which is known by its hash alone. */
function hadGiven(token: string, environment: string): void {
  const createdAt = gateway.now();
  gateway.catalog.insert(environments).values({ name: environment, createdAt }).onConflictDoNothing().run();
  const hash = createHash('sha256').update(token).digest('hex');
  gateway.catalog
    .insert(enrolTokens)
    .values({ hash, environment, createdAt, expiresAt: createdAt + 60_000 })
    .run();
}

test.each(versions)('agents of %s are understood from their enrolment to their last report', async (version) => {
  const all = recordedIn(version);
  const hello = helloSchema.parse(all.find(({ message }) => message.params?.path === 'hello')?.message.params?.input);
  const presign = async (key: string) => await Promise.resolve(`https://s3.example.com/${key}`);
  gateway = await startGateway({
    startAt: Date.parse(hello.sentAt),
    openOwnStore: async ({ id: storeId, databaseId }) => {
      const owner = { formatVersion: 1, storeId, environment: 'production', database: 'running_app', databaseId };
      const get = async () => await Promise.resolve(once(Buffer.from(JSON.stringify(owner))));
      return await Promise.resolve({ presign, get } as unknown as Store);
    },
  });
  const agents = new Map<number, Played>();
  const agentOf = async (connection: number) => {
    const known = agents.get(connection);
    if (known) return known;
    const other = await Played.open(new TestHost(gateway, 'staging', `host-${connection}`).enrol());
    agents.set(connection, other);
    return other;
  };
  const answers: [file: string, answer: unknown][] = [];
  const rejected: unknown[] = [];
  for (const { file, connection, from, path, message } of all) {
    if (path !== undefined) {
      if (from !== 'agent') continue;
      const { token, environment } = message as { token: string; environment: string };
      hadGiven(token, environment);
      const { environment: given, ...enrolled } = handleEnrol(gateway.enrolment, message);
      answers.push([file, given]);
      agents.set(1, await Played.open(enrolled));
    } else if (from === 'agent') {
      const answer = await (await agentOf(connection)).say(message);
      answers.push([file, answer.error ?? answer.result?.type]);
      const { answers: each = [] } = (answer.result?.data ?? {}) as { answers?: { answer: string }[] };
      rejected.push(...each.filter(({ answer }) => answer !== 'accepted'));
    } else if (file.includes('-command-')) {
      hadAsked(await agentOf(connection), commandSchema.parse(message.result?.data));
    }
  }
  expect(answers.filter(([, answer]) => !['data', 'started', 'production'].includes(String(answer)))).toEqual([]);
  expect(answers.length).toBeGreaterThanOrEqual(14);
  expect(rejected).toEqual([]);
  // And what they told is known.
  expect(gateway.catalog.select().from(backups).all()).toMatchObject([{ state: 'succeeded' }]);
  expect(
    gateway.catalog
      .select()
      .from(copies)
      .all()
      .map(({ state }) => state),
  ).toEqual(['verified', 'verified']);
  const kinds = gateway.catalog
    .select()
    .from(runs)
    .all()
    .map(({ kind, state }) => `${kind} ${state}`);
  expect(kinds).toEqual(
    expect.arrayContaining(['backup succeeded', 'verify succeeded', 'restore succeeded', 'backup cancelled']),
  );
  expect(
    gateway.catalog
      .select()
      .from(reports)
      .all()
      .every(({ answer }) => answer === 'accepted'),
  ).toBe(true);
});
