import { createHash } from 'node:crypto';
import { DueMoments, lookAt, newId, runStates, type RunState } from '@strideiq/core';
import type { RunQueue } from '../commands/run-queue.ts';
import type { Host } from '../compose.ts';
import type { AgentConfiguration, DatabaseConfiguration } from '../configuration/index.ts';
import type { Events } from '../daemon/events.ts';
import type { DueRun } from '../journal/schedule-book.ts';
import type { DueKind, Run } from '../journal/schema.ts';

export interface SchedulerParts {
  host: Host;
  queue: Pick<RunQueue, 'add' | 'hasRun' | 'withdraw'>;
  events: Events;
}

/** Later than this it counts as missed: whoever looks each second is late by no more than a busy machine makes it. */
const punctualMs = 120_000;

/** How exactly a moment by chance is kept: each look at a line with a delay is some work. */
const delayedLookMs = 15_000;

/** Waits before another attempt at what did not come about; after the last of them it is over. */
const attemptsAfterMs = [60_000, 300_000, 900_000, 1_800_000, 3_600_000];

/** What may be otherwise a little later: the server that is not up yet, somebody else's backup, a store that was away. */
const passing = new Set([
  'Interrupted',
  'AgentDied',
  'ServerUnreachable',
  'ConnectionLost',
  'BackupAlreadyRunning',
  'LockNotAvailable',
  'SchemaMoves',
  'DumpFailed',
  'DumpHangs',
  'NoCopyStored',
  'StoreFailed',
  'StoreStalled',
  'StoreNotMounted',
  'SecretUnavailable',
]);

/** One line of one of a database's schedules. */
interface FollowedLine {
  id: string;
  kind: DueKind;
  database: DatabaseConfiguration;
  line: string;
  /** Left out: all. */
  stores: readonly string[] | undefined;
  moments: DueMoments;
}

/**
 * Has backups made, read back and drilled when that is due. What is due stands in the journal until it is made: it is begun
 * at the next start where this process was killed before, and tried again where it failed for a passing reason. What was
 * missed while nobody looked is made once, unless that is too long ago. Of a database no more than one of each waits,
 * whichever moment is the last.
 */
export class Scheduler {
  readonly #parts: SchedulerParts;
  #lines: FollowedLine[] = [];
  /** What the lines were made of. */
  #configuration: AgentConfiguration | undefined;
  /** Nothing is due before, unless the clock is set. */
  #quietFrom = Number.POSITIVE_INFINITY;
  #quietUntil = Number.NEGATIVE_INFINITY;

  constructor(parts: SchedulerParts) {
    this.#parts = parts;
  }

  /** To be called each second or so. @throws where the journal cannot be written to: nothing was begun then */
  look(): void {
    const now = this.#parts.host.surroundings.now();
    if (this.#configuration !== this.#parts.host.configuration) this.#follow();
    if (now < this.#quietFrom || now >= this.#quietUntil) {
      for (const line of this.#lines) this.#lookAt(line, now);
      const next = this.#lines.map(({ moments }) => moments.after(now) ?? Number.POSITIVE_INFINITY);
      // A delay may come to its end at any moment.
      const isDelayed = this.#lines.some(({ database }) => database.jitterMs > 0);
      this.#quietFrom = now;
      this.#quietUntil = Math.min(isDelayed ? now + delayedLookMs : Number.POSITIVE_INFINITY, ...next);
    }
    for (const due of this.#parts.host.journal.schedules.due()) this.#seeTo(due, now);
  }

  /**
   * Follows the lines of the policies and databases that there are now: a line that is no more is forgotten, and a new one
   * begins now. How far those of a database were seen to that is gone is kept:
   * once it is there again, made anew by somebody perhaps, what it has missed is made by the usual rules.
   */
  #follow(): void {
    const { host } = this.#parts;
    const lines = linesOf(host);
    host.journal.schedules.forgetOthers(lines.map(({ id }) => id));
    this.#lines = lines.filter(({ database }) => database.goneSince === undefined);
    this.#configuration = host.configuration;
    this.#quietFrom = Number.POSITIVE_INFINITY;
  }

  /** Whether a moment of a line has come. */
  #lookAt({ id, kind, database, line, stores, moments }: FollowedLine, now: number): void {
    const { host, queue, events } = this.#parts;
    const { schedules } = host.journal;
    const { jitterMs } = database;
    const before = schedules.followed(id);
    if (!before) return schedules.follow(id, { seenAt: now, moments: [] });
    const delayOf = (moment: number) => delayed(id, moment, jitterMs);
    const { followed, due } = lookAt(moments, before, now, { delayOf, mostDelayMs: jitterMs });
    if (due === undefined) {
      // Seeing to nothing needs no word, but where the clock was set back.
      if (now < before.seenAt) schedules.follow(id, followed);
      return;
    }
    const dueAt = due + delayOf(due);
    if (this.#isTooLate(kind, database, dueAt, now)) return schedules.follow(id, followed);
    const databaseId = host.databaseIdOf(database);
    const replaced = schedules.due().find((each) => each.databaseId === databaseId && each.kind === kind);
    const runId = newId(now);
    const run = { databaseId, kind, dueAt, runId, attempt: 1, notBefore: now, stores: joined(stores, replaced) };
    schedules.follow(id, followed, run);
    if (replaced) queue.withdraw(replaced.runId);
    const how = now - dueAt > punctualMs ? `was missed at ${iso(dueAt)}, and is made now` : `is due (${line})`;
    events.info(`the ${kind} of ${database.name} ${how}`, { runId });
  }

  /** @returns true where it is not to be made any more, which is said */
  #isTooLate(
    kind: DueKind,
    { name, catchUp, catchUpLimitMs }: DatabaseConfiguration,
    dueAt: number,
    now: number,
  ): boolean {
    const lateMs = now - dueAt;
    if (lateMs <= (catchUp ? Math.max(catchUpLimitMs, punctualMs) : punctualMs)) return false;
    const why = catchUp ? 'that is too long ago (catchUpLimit)' : 'it is not to be made late (catchUp)';
    this.#parts.events.warn(`the ${kind} of ${name} that was due at ${iso(dueAt)} was missed, and ${why}`);
    return true;
  }

  /** Brings what is due a step further. */
  #seeTo(due: DueRun, now: number): void {
    const { host, queue } = this.#parts;
    const { journal } = host;
    const { runId, databaseId, kind, dueAt, stores } = due;
    if (queue.hasRun(runId)) return;
    const run = journal.get(runId);
    // One that was killed has no end yet: whoever clears behind it gives it one.
    if (run) return runStates.isFinal(run.state as RunState) ? this.#settle(due, run, now) : undefined;
    const database = host.databaseOfId(databaseId);
    // One that is tried again is late by when it was to be.
    const since = due.attempt === 1 ? dueAt : due.notBefore;
    const isThere = database !== undefined && database.goneSince === undefined;
    if (!isThere || (now - since > punctualMs && this.#isTooLate(kind, database, since, now)))
      return journal.schedules.done(due);
    if (isPaused(database, now)) return undefined;
    if (due.notBefore <= now || due.notBefore > now + longestWaitMs) {
      queue.add({ runId, databaseId, kind, database, dueAt, ...(stores === null ? {} : { stores }) });
    }
  }

  /** What has become of an attempt. */
  #settle(due: DueRun, run: Run, now: number): void {
    const { host, events } = this.#parts;
    const { schedules, commands } = host.journal;
    const waitMs = attemptsAfterMs[due.attempt - 1];
    const isOver = run.state === 'succeeded' || commands.wasCancelled(run.id) || !passing.has(run.errorCode ?? '');
    if (isOver || waitMs === undefined) return schedules.done(due);
    schedules.plan({ ...due, runId: newId(now), attempt: due.attempt + 1, notBefore: now + waitMs });
    events.info(`the ${due.kind} of ${run.database} is tried again in ${waitMs / 60_000} min`, { runId: run.id });
  }
}

/** A clock that was set back does not make anything wait for longer. */
const longestWaitMs = Math.max(...attemptsAfterMs);

/** What has not come to its end is made with the one that takes its place; one that is under way may still fail. */
function joined(stores: readonly string[] | undefined, replaced: DueRun | undefined): string[] | null {
  if (stores === undefined || replaced?.stores === null) return null;
  return [...new Set([...stores, ...(replaced?.stores ?? [])])].toSorted();
}

function isPaused({ pause }: DatabaseConfiguration, now: number): boolean {
  return pause !== undefined && now < pause.untilMs;
}

function linesOf(host: Host): FollowedLine[] {
  return Object.values(host.configuration.databases).flatMap((database) => {
    const { timezone, schedule, verify, drill } = database;
    const of = (kind: DueKind, cron: string, stores?: readonly string[]): FollowedLine => ({
      id: [host.databaseIdOf(database), ...(kind === 'backup' ? [] : [kind]), timezone, cron, ...(stores ?? [])].join(
        ' ',
      ),
      kind,
      database,
      line: cron,
      stores,
      moments: new DueMoments({ line: cron, timezone }),
    });
    // Where no backup is made by itself nothing else is either.
    const verifies = schedule.length > 0 && verify.schedule !== 'never' ? [of('verify', verify.schedule)] : [];
    return [
      ...schedule.map(({ cron, stores }) => of('backup', cron, stores)),
      ...verifies,
      ...(drill.schedule === undefined ? [] : [of('drill', drill.schedule)]),
    ];
  });
}

/** Always the same for a moment, so that nothing has to be remembered of it. */
function delayed(id: string, moment: number, mostMs: number): number {
  if (mostMs === 0) return 0;
  const hash = createHash('sha256').update(`${id} ${moment}`).digest();
  return Math.floor((hash.readUInt32BE(0) / 2 ** 32) * mostMs);
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
