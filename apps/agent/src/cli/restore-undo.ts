import { confirmName } from '@strideiq/terminal';
import { findUndo, runUndo } from '../in-place/run-undo.ts';
import { clearFirst } from './clear-first.ts';
import { databaseOf, type Command } from './run-command.ts';

/** `restore undo [DATABASE]`: takes the newest restore in place back. */
export async function restoreUndo(
  command: Command,
  name: string | undefined,
  options: { yes?: boolean },
): Promise<number> {
  const { host, output, progress, surroundings } = command;
  const database = databaseOf(host.configuration, name);
  await clearFirst(command, database);
  const request = {
    environment: host.configuration.environment,
    database: database.name,
    databaseId: host.databaseIdOf(database),
    maintenance: await host.maintenanceOf(database),
    hooks: database.hooks,
    stateDir: host.configuration.stateDir,
  };
  const { journal, key } = host;
  const deps = { journal, key, now: surroundings.now, progress, signal: surroundings.signal };
  const undone = await findUndo(request, deps);
  const { database: live, keptAs } = undone.detail.inPlace;
  if (options.yes !== true) await confirmName(live, `Giving ${live} back to ${keptAs}`, surroundings.signal);
  const outcome = await runUndo(request, deps, undone);
  output.result(
    outcome,
    `${outcome.into} is again the database that was kept as ${keptAs}.\n  The restored one is kept as ${outcome.keptAs}, with whatever was written since.`,
  );
  return 0;
}
