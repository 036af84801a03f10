import type { StoreDrift } from '@strideiq/control-plane/router';
import { momentText } from '../moments.ts';
import { findDatabase } from '../names/find-database.ts';
import type { Command } from '../run-command.ts';

/** `drift DATABASE [--look]`: how what its stores hold differs from the catalog. Exit code 1 where it does. */
export async function drift(
  { client, output }: Command,
  reference: string,
  { look }: { look?: boolean },
): Promise<number> {
  const { id: databaseId } = await findDatabase(client, reference);
  const what = { databaseId };
  const { stores } = look === true ? await client.drift.look.mutate(what) : await client.drift.show.query(what);
  output.result({ stores }, stores.length === 0 ? 'It has no store yet.' : stores.map(driftText).join('\n'));
  const problems = stores.flatMap(({ name, problem }) =>
    problem === null ? [] : [`${name} was not looked into: ${problem}`],
  );
  for (const problem of problems) output.problem(problem);
  return problems.length > 0 || stores.some(({ items }) => items.length > 0) ? 1 : 0;
}

function driftText({ name, location, lookedAt, items }: StoreDrift): string {
  const when = lookedAt === null ? 'not compared yet' : `as of ${momentText(lookedAt)}`;
  const what = items.length === 0 ? 'nothing differs' : `${items.length} differ`;
  return [
    `${name} (${location}), ${when}: ${lookedAt === null ? '' : what}`.replace(/: $/, ''),
    ...items.map(({ kind, text, firstSeenAt }) => `  ${kind.padEnd(10)} ${text} Since ${momentText(firstSeenAt)}.`),
  ].join('\n');
}
