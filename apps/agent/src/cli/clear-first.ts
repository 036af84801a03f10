import type { Host } from '../compose.ts';
import type { DatabaseConfiguration } from '../configuration/index.ts';
import { clearLeftovers } from '../leftovers/clear-leftovers.ts';
import type { Output } from './output.ts';

/** Before new work: what earlier runs of this database left is cleared, and said. */
export async function clearFirst(host: Host, database: DatabaseConfiguration, output: Output): Promise<void> {
  const databaseId = host.databaseIdOf(database);
  // Most starts find nothing, and need no connection to find that.
  const { journal } = host;
  if (journal.abandoned([databaseId]).length + journal.uncleared([databaseId]).length === 0) return;
  output.progress({ phase: 'clearing' });
  const { cleared, problems } = await clearLeftovers(journal, {
    databaseId,
    stores: await host.storesOf(database),
    maintenance: await host.maintenanceOf(database),
  });
  for (const run of cleared) output.note(`Run ${run.runId} (${run.kind}) ${run.state}: ${run.text}`);
  for (const problem of problems) output.warn(problem);
}
