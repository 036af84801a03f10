import type { KeptStore } from '@strideiq/control-plane/router';
import { confirmName } from '@strideiq/terminal';
import { databaseName, findDatabase } from '../names/find-database.ts';
import type { Command } from '../run-command.ts';
import { planText } from './preview.ts';

/** `retention apply DATABASE [--yes]`: what waits for somebody to look goes. Exit code 1 where something did not. */
export async function applyRetention(
  { client, output, signal }: Command,
  reference: string,
  { yes }: { yes?: boolean },
): Promise<number> {
  const database = await findDatabase(client, reference);
  const { id: databaseId } = database;
  if (yes !== true) {
    const { stores } = await client.retention.preview.query({ databaseId });
    const buckets = stores.filter(({ by }) => by === 'controlPlane');
    output.note(buckets.map(planText).join('\n'));
    const count = buckets.reduce((sum, { remove }) => sum + remove.length, 0);
    await confirmName(database.name, `Removing ${count} copies of ${databaseName(database)}`, signal);
  }
  const { stores } = await client.retention.carryOut.mutate({ databaseId });
  output.result({ stores }, stores.length === 0 ? 'It has no bucket.' : stores.map(keptText).join('\n'));
  const problems = stores.flatMap(({ name, waits, problems: all }) =>
    [...(waits === null ? [] : [waits]), ...all].map((problem) => `${name}: ${problem}`),
  );
  for (const problem of problems) output.problem(problem);
  return problems.length > 0 ? 1 : 0;
}

function keptText({ name, removed, locked }: KeptStore): string {
  const kept = locked.length === 0 ? '' : `, ${locked.length} kept by Object Lock for now`;
  return `${name}: ${removed.length} removed${kept}`;
}
