import { confirmName } from '@strideiq/terminal';
import { planCopies, type StorePlan } from '../retention/plan-copies.ts';
import { massRemoval, pruneCopies, type Pruned } from '../retention/prune-copies.ts';
import { clearFirst } from './clear-first.ts';
import { databaseOf, type Command } from './run-command.ts';

/** `prune [DATABASE] [--dry-run] [--yes]`: what retention removes here, and why. */
export async function prune(
  command: Command,
  name: string | undefined,
  options: { dryRun?: boolean; yes?: boolean },
): Promise<number> {
  const { host, output, surroundings } = command;
  const database = databaseOf(host.configuration, name);
  if (options.dryRun !== true) await clearFirst(command, database);
  const plans = await planCopies(host, database);
  if (options.dryRun === true) {
    output.result({ stores: plans.map(planned) }, plans.map(describePlan).join('\n'));
    return endWith(
      command,
      plans.flatMap(({ opened, problem }) => (problem === undefined ? [] : [`${opened.name}: ${problem}`])),
    );
  }
  const mass = plans.filter(({ isMass }) => isMass);
  for (const plan of mass) output.note(massRemoval(database, plan));
  if (mass.length > 0 && options.yes !== true) {
    await confirmName(database.name, `Removing so many backups of ${database.name}`, surroundings.signal);
  }
  const pruned = await pruneCopies(host, database, plans);
  output.result({ stores: pruned }, pruned.map(describePruned).join('\n'));
  return endWith(
    command,
    pruned.flatMap(({ problems }) => problems),
  );
}

function endWith({ output }: Command, problems: readonly string[]): number {
  for (const problem of problems) output.problem(problem);
  return problems.length > 0 ? 1 : 0;
}

function planned({ opened, plan }: StorePlan) {
  return { store: opened.name, location: opened.store.location, ...plan };
}

function describePlan({ opened, plan }: StorePlan): string {
  return [
    `${opened.name} (${opened.store.location}): ${plan.keep.length} would stay, ${plan.remove.length} would go`,
    ...plan.keep.map(({ backupId, reasons }) => `  keep    ${backupId}  ${reasons.join('; ')}`),
    ...plan.remove.map(({ backupId, reason }) => `  remove  ${backupId}  ${reason}`),
  ].join('\n');
}

function describePruned({ store, location, removed }: Pruned): string {
  return [
    `${store} (${location}): ${removed.length === 0 ? 'nothing to remove' : `${removed.length} removed`}`,
    ...removed.map(({ backupId, reason }) => `  removed  ${backupId}  ${reason}`),
  ].join('\n');
}
