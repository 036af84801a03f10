import type { Backup, Copy } from '@strideiq/control-plane/router';
import { printable, table } from '@strideiq/terminal';
import prettyBytes from 'pretty-bytes';
import { listAll } from '../connection/pages.ts';
import { listed, type ListOptions } from '../listed.ts';
import { momentText } from '../moments.ts';
import { databaseName, findDatabase } from '../names/find-database.ts';
import type { Command } from '../run-command.ts';

/** `backups [DATABASE]`: the newest first, with the state of each copy. */
export async function backups(
  { client, output }: Command,
  reference: string | undefined,
  { environment, limit }: ListOptions,
): Promise<number> {
  const filter = {
    ...(environment === undefined ? {} : { environment }),
    ...(reference === undefined ? {} : { databaseId: (await findDatabase(client, reference)).id }),
  };
  const found = await listAll(async (page) => client.backups.list.query({ ...page, ...filter }), limit);
  return listed(output, found, { kind: 'backup', text: backupsTable });
}

/** As a table; below it, each copy that there is a trouble with: where, since when, and why. */
export function backupsTable(items: readonly Backup[]): string {
  const troubles = items.flatMap((backup) => backup.copies.flatMap((copy) => troubleOf(backup, copy)));
  const rows = table(
    ['TIME', 'DATABASE', 'NAME', 'SIZE', 'ROWS', 'STATE', 'COPIES', 'ID'],
    items.map((backup) => [
      momentText(backup.snapshotAt ?? backup.finishedAt),
      databaseName({ ...backup, name: backup.database }),
      backup.objectName.replace(/\.sql\.gz$/, ''),
      prettyBytes(backup.bytes),
      backup.rows.toLocaleString('en'),
      backup.state,
      backup.copies.map(({ store, state }) => `${store}: ${state}`).join(', ') || '-',
      backup.id,
    ]),
    [3, 4],
  );
  return troubles.length === 0 ? rows : [rows, '', ...troubles].join('\n');
}

function troubleOf({ objectName }: Backup, { store, state, since, error }: Copy): string[] {
  if (error === null) return [];
  const why = error.text === '' ? error.code : error.text;
  const line = `${objectName.replace(/\.sql\.gz$/, '')} in ${store}: ${state} since ${momentText(since)}: ${why}`;
  return [printable(line.replaceAll(/\s*\n\s*/g, ' '))];
}
