import type { KeptBucket } from '@strideiq/control-plane/router';
import { confirmName } from '@strideiq/terminal';
import { databaseName, findDatabase } from '../names/find-database.ts';
import type { Command } from '../run-command.ts';
import { planText } from './preview.ts';

/**
 * `retention apply DATABASE [--yes]`: what waits for somebody to look goes, and nothing that was not shown. Exit code 1 where
 * something did not.
 */
export async function carryOutRetention(
  { client, output, signal }: Command,
  reference: string,
  { yes }: { yes?: boolean },
): Promise<number> {
  const database = await findDatabase(client, reference);
  const { id: databaseId } = database;
  const { stores: planned } = await client.retention.preview.query({ databaseId });
  const buckets = planned.filter(({ by }) => by === 'controlPlane');
  const backupIds = [...new Set(buckets.flatMap(({ remove }) => remove.map(({ backupId }) => backupId)))];
  if (backupIds.length === 0) {
    output.result({ stores: [], goesOn: false }, 'Nothing is to go from its buckets.');
    return 0;
  }
  output.note(buckets.map(planText).join('\n'));
  if (yes !== true) {
    await confirmName(
      database.name,
      `Removing ${backupIds.length} backups of ${databaseName(database)} from its buckets`,
      signal,
    );
  }
  const { stores, goesOn } = await client.retention.carryOut.mutate({ databaseId, backupIds });
  const text = goesOn
    ? 'It goes on: `strideiq retention preview` shows what is left.'
    : stores.map(keptText).join('\n');
  output.result({ stores, goesOn }, text);
  const problems = stores.flatMap(({ name, waits, problems: all }) =>
    [...(waits === null ? [] : [waits]), ...all].map((problem) => `${name}: ${problem}`),
  );
  for (const problem of problems) output.problem(problem);
  return problems.length > 0 ? 1 : 0;
}

function keptText({ name, removed, locked }: KeptBucket): string {
  const kept = locked.length === 0 ? '' : `, ${locked.length} kept by Object Lock for now`;
  return `${name}: ${removed.length} removed${kept}`;
}
