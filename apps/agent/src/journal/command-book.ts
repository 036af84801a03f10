import { commandStates, type CommandState } from '@strideiq/core';
import type { CommandEnvelope } from '@strideiq/protocol';
import { and, asc, eq, inArray, lt, sql } from 'drizzle-orm';
import type { JournalDatabase } from './open-journal.ts';
import type { Outbox } from './outbox.ts';
import { keepEndedMs } from './old-runs.ts';
import { commands } from './schema.ts';

export type TakenCommand = typeof commands.$inferSelect;

/** Why a command was refused or has expired. */
export interface Reason {
  code: string;
  text: string;
}

const setBack: Reason = {
  code: 'StateSetBack',
  text: 'The state directory of this host was set back, so that it cannot tell whether this was done already. Look, and ask again.',
};

/** Every command that came to this host and could come again: an id that stands here is not done again. */
export class CommandBook {
  readonly #db: JournalDatabase;
  readonly #outbox: Outbox;
  readonly #now: () => number;

  constructor(db: JournalDatabase, outbox: Outbox, now: () => number) {
    this.#db = db;
    this.#outbox = outbox;
    this.#now = now;
  }

  /**
   * Writes a command down.
   * @param refusal why it is not to be done; it has ended with that
   * @returns false where it stood there already, whatever has become of it
   */
  take(command: CommandEnvelope, refusal?: Reason): boolean {
    const { commandId, kind, databaseId, runId, body, issuedAt, expiresAt } = command;
    return this.#alone(() => {
      const { changes } = this.#db
        .insert(commands)
        .values({
          id: commandId,
          kind,
          databaseId,
          runId: runId ?? null,
          body: refusal || typeof body !== 'object' || body === null ? {} : { ...body },
          issuedAt: Date.parse(issuedAt),
          expiresAt: Date.parse(expiresAt),
          receivedAt: this.#now(),
          state: commandStates.move(commandStates.initial, 'delivered'),
        })
        .onConflictDoNothing()
        .run();
      if (changes === 1 && refusal) this.end(commandId, 'refused', refusal);
      return changes === 1;
    });
  }

  get(commandId: string): TakenCommand | undefined {
    return this.#db.select().from(commands).where(eq(commands.id, commandId)).get();
  }

  /** The command that asked for a run. */
  ofRun(runId: string): TakenCommand | undefined {
    return this.#db.select().from(commands).where(eq(commands.runId, runId)).get();
  }

  /** The control plane knows that it stands here. */
  acknowledged(commandId: string): void {
    this.#alone(() => {
      const command = this.get(commandId);
      if (command?.state === 'delivered') this.#set(command, 'acknowledged');
    });
  }

  /** How it ended, with its report; one that has ended stays as it is. */
  end(commandId: string, to: 'done' | 'refused' | 'expired', reason?: Reason): void {
    this.#alone(() => {
      const command = this.get(commandId);
      if (!command || command.endedAt !== null) return;
      for (const step of commandStates.path(command.state, to) ?? [to]) this.#set(command, step, reason);
      this.#outbox.write('command', { commandId, state: to, ...(reason ? { reason } : {}) });
    });
  }

  /**
   * This journal was set back: what it holds for not begun may have been done since, and is not done again.
   * @param isBegun whether a run stands in the journal, whose own outcome tells the rest
   */
  refuseUnbegun(isBegun: (runId: string) => boolean): void {
    for (const { id, runId } of this.open()) if (runId === null || !isBegun(runId)) this.end(id, 'refused', setBack);
  }

  #set({ id }: TakenCommand, to: CommandState, reason?: Reason): void {
    const command = this.get(id);
    if (!command) return;
    const state = commandStates.move(command.state, to);
    // `expired` too: from afar it may be taken back, and here it is the last word.
    const endedAt = state === 'acknowledged' ? null : this.#now();
    this.#db
      .update(commands)
      .set({ state, endedAt, code: reason?.code ?? null, reason: reason?.text ?? null })
      .where(eq(commands.id, id))
      .run();
  }

  /** Those that have not ended, oldest first. */
  open(): TakenCommand[] {
    return this.#db
      .select()
      .from(commands)
      .where(inArray(commands.state, ['delivered', 'acknowledged']))
      .orderBy(asc(commands.issuedAt), asc(commands.id))
      .all();
  }

  /** Whether somebody has asked to cancel that run, be it before it was heard of. */
  wasCancelled(runId: string): boolean {
    const asked = this.#db
      .select({ id: commands.id })
      .from(commands)
      .where(and(eq(commands.kind, 'cancel'), sql`json_extract(${commands.body}, '$.runId') = ${runId}`))
      .get();
    return asked !== undefined;
  }

  /** Lets go of those that have ended, and that nobody may send again: one that has expired is not done, known or not. */
  prune(): void {
    const oldest = this.#now() - keepEndedMs;
    this.#db
      .delete(commands)
      .where(and(lt(commands.endedAt, oldest), lt(commands.expiresAt, oldest)))
      .run();
  }

  #alone<T>(work: () => T): T {
    return this.#db.transaction(work, { behavior: 'immediate' });
  }
}
