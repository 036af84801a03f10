import type { DatabaseConfiguration } from '../configuration/index.ts';
import { shortenedText } from '../daemon/journal-keeper.ts';
import { clearDatabase } from '../leftovers/clear-database.ts';
import type { Command } from './run-command.ts';

/** Before new work: what earlier runs of this database left is cleared, and said. */
export async function clearFirst({ host, output, progress }: Command, database: DatabaseConfiguration): Promise<void> {
  const { shortened } = host.pruneJournal();
  if (shortened > 0) output.warn(shortenedText(shortened));
  const done = await clearDatabase(host, database, { onFound: () => progress({ phase: 'clearing' }) });
  for (const run of done?.cleared ?? []) output.note(`Run ${run.runId} (${run.kind}) ${run.state}: ${run.text}`);
  for (const problem of done?.problems ?? []) output.warn(problem);
}
