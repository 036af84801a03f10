import { durationText } from '@strideiq/terminal';
import { resolveReference } from '../backups/resolve-reference.ts';
import { drillRequest } from '../drill/drill-request.ts';
import { runDrill, type DrillOutcome } from '../drill/run-drill.ts';
import { clearFirst } from './clear-first.ts';
import { toastCompressionOf } from './restore.ts';
import { databaseOf, databaseOfBackups, type Command } from './run-command.ts';

export interface DrillOptions {
  backup?: string;
  via?: string;
  jobs?: 'auto' | number;
  trustSource?: boolean;
  toastCompression?: string;
}

/** `drill DATABASE`: its latest backup into a scratch database, compared, asked, and dropped again. */
export async function drill(command: Command, name: string | undefined, options: DrillOptions): Promise<number> {
  const { host, output, progress, surroundings } = command;
  const database = databaseOfBackups(host.configuration, name);
  const server =
    options.via === undefined ? host.scratchPlaceOf(database) : databaseOf(host.configuration, options.via);
  await clearFirst(command, database);
  const { journal, key } = host;
  const { now, signal } = surroundings;
  const reference = options.backup ?? 'latest';
  const found = await resolveReference(reference, await host.storesOf(database), host.openPlace, now());
  const request = await drillRequest(
    host,
    { database, own: database, on: server },
    {
      source: { ...found, databaseId: host.databaseIdOf(database) },
      reference,
      trustSource: options.trustSource ?? false,
      jobs: options.jobs === 'auto' ? undefined : options.jobs,
      toastCompression: toastCompressionOf(options.toastCompression),
    },
  );
  const outcome = await runDrill(request, { journal, key, now, progress, signal });
  for (const note of outcome.notes) output.note(`note: ${note}`);
  output.result(outcome, describe(outcome));
  return 0;
}

function describe(outcome: DrillOutcome): string {
  const {
    source,
    rows,
    tables,
    objects,
    restoreMs,
    dataAgeMs,
    sampledTables,
    sampledRows,
    assertions,
    countsAsRto,
    dropped,
  } = outcome;
  const number = (value: number) => value.toLocaleString('en');
  return [
    `Drilled ${source}: it restores`,
    `  restored   in ${durationText(restoreMs)}${countsAsRto ? ' (RTO)' : ', otherwise than in production'}`,
    `  data       of ${durationText(dataAgeMs)} ago (RPO)`,
    `  compared   ${number(rows)} rows of ${tables} tables by their counts, ${objects} objects`,
    `  sampled    ${number(sampledRows)} rows of ${sampledTables} tables one by one`,
    `  asserted   ${assertions === 0 ? 'nothing: drill.assertions in agent.yaml holds none' : `${assertions}, which all held`}`,
    ...(dropped ? ['  The scratch database was dropped.'] : []),
  ].join('\n');
}
