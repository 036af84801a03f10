import { commandStates, newId } from '@strideiq/core';
import type { CommandOf, Presigned } from '@strideiq/protocol';
import { eq } from 'drizzle-orm';
import type { CatalogTransaction } from '../catalog/open-catalog.ts';
import { commands } from '../catalog/schema.ts';
import { moveCommand } from '../commands/move-command.ts';
import { queueCommand } from '../commands/queue-command.ts';
import { ControlPlaneError } from '../errors.ts';
import { commit, type NewsParts } from '../runs/news.ts';

export interface PresignRequestsParts extends NewsParts {
  now: () => number;
  /** How long an agent may take to answer. Default 30 s. */
  presignTimeoutMs?: number;
}

type PresignKind = 'presign' | 'presignUpload';

/** What an agent has signed. */
interface Signed {
  /** One for each key, in their order; of an upload, one. */
  urls: string[];
  /** What a request has to bear beside them. */
  headers: Record<string, string>;
}

interface Waiting {
  agentId: string;
  most: number;
  answered: (signed: Signed) => void;
  failed: (error: ControlPlaneError) => void;
}

/** Asks agents for URLs, and waits for the answers in memory: they are written down nowhere. */
export class PresignRequests {
  readonly #parts: PresignRequestsParts;
  readonly #timeoutMs: number;
  readonly #waiting = new Map<string, Waiting>();

  constructor(parts: PresignRequestsParts) {
    this.#parts = parts;
    this.#timeoutMs = parts.presignTimeoutMs ?? 30_000;
  }

  /**
   * @throws ControlPlaneError `PresignFailed`, and as `queueCommand` says
   */
  async ask<Kind extends PresignKind>(kind: Kind, databaseId: string, body: CommandOf<Kind>['body']): Promise<Signed> {
    const now = this.#parts.now();
    const commandId = newId(now);
    const { promise, resolve, reject } = Promise.withResolvers<Signed>();
    const command = { commandId, kind, databaseId, body };
    const most = 'keys' in body ? body.keys.length : 1;
    const timer = setTimeout(() => reject(noAnswer(this.#timeoutMs)), this.#timeoutMs);
    try {
      commit(this.#parts, (tx, news) => {
        const agentId = queueCommand(tx, news, command, now);
        // Before the commit tells the agent of it, so that no answer comes too early.
        this.#waiting.set(commandId, { agentId, most, answered: resolve, failed: reject });
      });
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(commandId);
      this.#end(commandId, 'expired');
    }
  }

  /** Takes an agent's answer. Only the one that was asked can answer, and once. */
  answer(agentId: string, { commandId, urls, headers = {}, error }: Presigned): void {
    const waiting = this.#waiting.get(commandId);
    if (waiting?.agentId !== agentId) return;
    this.#waiting.delete(commandId);
    if (urls?.length === waiting.most && urls.every(isWebAddress)) {
      this.#end(commandId, 'done');
      waiting.answered({ urls, headers });
      return;
    }
    const { code, text } = error ?? { code: 'PresignFailed', text: 'it answered something else than was asked' };
    this.#end(commandId, 'refused', { reasonCode: code, reason: text });
    waiting.failed(presignFailed(`The agent of the source host gave no URLs (${code}): ${text}`));
  }

  /** Its journal tells the end too; this is the word that comes first. */
  #end(
    commandId: string,
    to: 'done' | 'refused' | 'expired',
    why: { reasonCode?: string; reason?: string } = {},
  ): void {
    const { now } = this.#parts;
    commit(this.#parts, (tx: CatalogTransaction) => {
      const command = tx.select().from(commands).where(eq(commands.id, commandId)).get();
      if (!command || commandStates.isFinal(command.state)) return;
      const steps = commandStates.path(command.state, to) ?? [];
      if (steps.length > 0) moveCommand(tx, command, steps, { now: now(), ...why });
    });
  }
}

/** What a host may be told to read from: an address of the web, and nothing of its own disk. */
function isWebAddress(url: string): boolean {
  return ['http:', 'https:'].includes(new URL(url).protocol);
}

function noAnswer(timeoutMs: number): ControlPlaneError {
  return presignFailed(`The agent of the source host gave no URLs within ${timeoutMs / 1000} s`);
}

function presignFailed(what: string): ControlPlaneError {
  return new ControlPlaneError(
    'PresignFailed',
    `${what.replace(/\.$/, '')}.`,
    'See that host’s log, and that its credentials may do that in the bucket.',
  );
}
