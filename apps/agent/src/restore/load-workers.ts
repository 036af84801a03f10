import type { LoadWork } from './load-plan.ts';
import type { LoadSession } from './load-session.ts';
import type { LoadSessions } from './load-sessions.ts';
import { Schedule, type Task } from './schedule.ts';

/**
 * Runs tasks on several sessions at once, in the order that they allow.
 * @param first a session that is there already
 * @param stop ends what the other sessions are in the middle of; called with the first error, which is then thrown
 */
export async function runOnWorkers(
  tasks: readonly Task<LoadWork>[],
  first: LoadSession,
  sessions: LoadSessions,
  { jobs, run, stop }: { jobs: number; run: Run; stop: (error: unknown) => void },
): Promise<void> {
  const schedule = new Schedule(tasks);
  const workers = new Workers(schedule, sessions, run);
  const count = Math.max(1, Math.min(jobs, tasks.length));
  const failures: unknown[] = [];
  await Promise.all(
    Array.from({ length: count }, async (_, at) => {
      try {
        const session = at === 0 ? first : await sessions.openAnother();
        if (session) await workers.work(session);
      } catch (error) {
        failures.push(error);
        workers.stop();
        if (failures.length === 1) stop(error);
      }
    }),
  );
  if (failures.length > 0) throw failures[0];
}

type Run = (session: LoadSession, work: LoadWork) => Promise<void>;

class Workers {
  readonly #schedule: Schedule<LoadWork>;
  readonly #sessions: LoadSessions;
  readonly #run: Run;
  #stopped = false;
  /** Settled when something has ended that others may wait for. */
  #change = Promise.withResolvers<void>();

  constructor(schedule: Schedule<LoadWork>, sessions: LoadSessions, run: Run) {
    this.#schedule = schedule;
    this.#sessions = sessions;
    this.#run = run;
  }

  async work(first: LoadSession): Promise<void> {
    let session = first;
    while (!this.#schedule.ended && !this.#stopped) {
      const task = this.#schedule.next();
      if (!task) {
        await this.#change.promise;
        continue;
      }
      if (!session.known) {
        await this.#sessions.close(session);
        session = await this.#sessions.open();
      }
      await this.#run(session, task.work);
      this.#schedule.done(task);
      this.#wake();
    }
    this.#wake();
  }

  stop(): void {
    this.#stopped = true;
    this.#wake();
  }

  #wake(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers<void>();
  }
}
