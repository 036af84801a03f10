import { paragraphOf, parseBackupName, type Removed } from '@strideiq/core';
import type { Host } from '../compose.ts';
import type { DatabaseConfiguration } from '../configuration/index.ts';
import { AgentError } from '../errors.ts';
import { inTime } from '../stores/in-time.ts';
import { planCopies, type PlanOptions, type StorePlan } from './plan-copies.ts';

/** What became of what was to go from one store. */
export interface Pruned {
  store: string;
  location: string;
  removed: Removed[];
  /** Why others that should have gone did not. */
  problems: string[];
}

/**
 * Removes what plans say, oldest first. The dump goes first and the manifest last: what is left of a removal that was cut
 * short is known by it, and goes the next time. LATEST is an object of its own, and stays.
 */
export async function pruneCopies(
  host: Host,
  database: DatabaseConfiguration,
  plans: readonly StorePlan[],
): Promise<Pruned[]> {
  if (plans.some(({ plan }) => plan.remove.length > 0)) checkNobodyReads(host, database);
  return Promise.all(plans.map(async (plan) => pruneStore(host, database, plan)));
}

async function pruneStore(
  host: Host,
  database: DatabaseConfiguration,
  { opened, plan, problem }: StorePlan,
): Promise<Pruned> {
  const { name, store } = opened;
  const problems = problem === undefined ? [] : [`${name}: ${problem}`];
  const pruned: Pruned = { store: name, location: store.location, removed: [], problems };
  const planned = host.configuration;
  for (const each of plan.remove) {
    host.surroundings.signal.throwIfAborted();
    if (host.configuration !== planned) {
      problems.push(`${name}: the policy has changed meanwhile: what is left is planned anew with the next backup.`);
      break;
    }
    try {
      await inTime(remove(host, database, opened.store, each), opened, database.dump.stallLimitMs);
      pruned.removed.push(each);
    } catch (error) {
      problems.push(`${name}: ${each.backupId} was not removed: ${paragraphOf(error)}`);
      // Whatever keeps one from going mostly keeps all: a few tell as much as hundreds.
      if (problems.length === mostProblems) break;
    }
  }
  return pruned;
}

const mostProblems = 5;

async function remove(
  host: Host,
  database: DatabaseConfiguration,
  store: StorePlan['opened']['store'],
  { backupId: stem, reason }: Removed,
): Promise<void> {
  const names = parseBackupName(`${stem}.sql.gz`)?.names;
  if (!names) throw new Error(`${stem} is no name of a backup`);
  await store.delete(names.dump);
  await store.delete(names.privileges);
  await store.delete(names.globals);
  // While the manifest is still there to have it said again.
  host.journal.copies.deleted({
    databaseId: host.databaseIdOf(database),
    storeId: store.storeId,
    key: names.dump,
    reason,
  });
  await store.delete(names.manifest);
}

/** @throws AgentError `RestoreAlreadyRunning`: what is read just now, or is about to be, is not taken away */
function checkNobodyReads(host: Host, database: DatabaseConfiguration): void {
  const { configuration, journal } = host;
  const databaseIds = Object.values(configuration.databases).map((each) => host.databaseIdOf(each));
  const isAsked = journal.commands.open().some(({ kind }) => kind !== 'backup' && kind !== 'cancel');
  if (!isAsked && !journal.left.isReading(databaseIds)) return;
  throw new AgentError(
    'RestoreAlreadyRunning',
    `This host reads a backup just now, or is about to, so none of ${database.name} was removed.`,
    'It is done after the next backup, or by `strideiq-agent prune` once that has ended.',
  );
}

/** What there is to tell of a removal that nobody asked for. */
export interface PrunedByItself {
  notes: string[];
  warnings: string[];
}

/** What follows a backup. Never rejects: a backup that is made is made. @param options the stores that have it */
export async function pruneByItself(
  host: Host,
  database: DatabaseConfiguration,
  options: PlanOptions,
): Promise<PrunedByItself> {
  try {
    // The policy of now, and not of when the backup was begun.
    const current = host.databaseOfId(host.databaseIdOf(database)) ?? database;
    const plans = await planCopies(host, current, options);
    const mass = plans.filter(({ isMass }) => isMass);
    const pruned = await pruneCopies(
      host,
      database,
      plans.filter((plan) => !mass.includes(plan)),
    );
    return {
      notes: pruned.flatMap(({ store, removed }) =>
        removed.map(({ backupId }) => `Removed from ${store}: ${backupId}`),
      ),
      warnings: [...mass.map((plan) => massRemoval(database, plan)), ...pruned.flatMap(({ problems }) => problems)],
    };
  } catch (error) {
    return { notes: [], warnings: [`Old backups were not removed: ${paragraphOf(error)}`] };
  }
}

/** More would go at once than retention removes from day to day: somebody is to look at it first. */
export function massRemoval({ name }: DatabaseConfiguration, { opened, plan: { keep, remove } }: StorePlan): string {
  const all = keep.length + remove.length;
  return `Retention would remove ${remove.length} of the ${all} copies of ${name} in ${opened.name} at once, and waits for somebody to look: \`strideiq-agent prune ${name} --dry-run\` shows them, and without --dry-run they go.`;
}
