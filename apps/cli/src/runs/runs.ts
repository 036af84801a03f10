import type { Run } from '@strideiq/control-plane/router';
import { table } from '@strideiq/terminal';
import { listAll } from '../connection/pages.ts';
import { CliError } from '../errors.ts';
import { listed, type ListOptions } from '../listed.ts';
import { momentText } from '../moments.ts';
import { findAgent } from '../names/find-agent.ts';
import { databaseName, findDatabase } from '../names/find-database.ts';
import { isId } from '../names/id.ts';
import type { Command } from '../run-command.ts';
import { describeRun, logText, tookText } from './describe-run.ts';
import { followAll } from './follow-all.ts';
import { followRun } from './follow-run.ts';
import { LogTail } from './log-tail.ts';
import { showProgress } from './show-progress.ts';

export interface RunsOptions extends ListOptions {
  follow?: boolean;
  database?: string;
  agent?: string;
  kind?: string;
  state?: Run['state'];
}

/** `runs [RUN] [--follow]`: the newest runs, or all about one. */
export async function runs(command: Command, runId: string | undefined, options: RunsOptions): Promise<number> {
  if (runId !== undefined) return oneRun(command, checkedRunId(runId), options.follow ?? false);
  const { client, output } = command;
  const { environment, kind, state } = options;
  const filter = {
    ...(environment === undefined ? {} : { environment }),
    ...(kind === undefined ? {} : { kind }),
    ...(state === undefined ? {} : { state }),
    ...(options.database === undefined ? {} : { databaseId: (await findDatabase(client, options.database)).id }),
    ...(options.agent === undefined ? {} : { agentId: (await findAgent(client, options.agent)).id }),
  };
  if (options.follow) return followAll(command, async () => client.runs.list.query({ ...filter, limit: 200 }));
  const found = await listAll(async (page) => client.runs.list.query({ ...page, ...filter }), options.limit);
  return listed(output, found, { kind: 'run', text: runsTable });
}

export function runsTable(items: readonly Run[]): string {
  return table(
    ['CREATED', 'KIND', 'DATABASE', 'STATE', 'TOOK', 'ASKED BY', 'ID'],
    items.map((run) => [
      momentText(run.createdAt),
      run.kind,
      databaseName({ ...run, name: run.database }),
      run.state === 'running' && run.progress !== null ? `running ${Math.floor(run.progress * 100)} %` : run.state,
      tookText(run) ?? '-',
      run.requestedBy === null ? 'the host' : (run.requestedBy.name ?? run.requestedBy.keyId),
      run.id,
    ]),
    [4],
  );
}

/** Each change of progress asks for no page of the log of its own. */
const logEveryMs = 2000;

async function oneRun(command: Command, runId: string, follow: boolean): Promise<number> {
  const { client, output } = command;
  const tail = new LogTail(client, runId);
  if (!follow) {
    const run = await client.runs.get.query({ runId });
    const log = await tail.next();
    output.result({ ...run, log }, describeRun(run, log));
    return 0;
  }
  let state: Run['state'] | undefined;
  let lookedAt = -Infinity;
  const run = await followRun(command, runId, async (now) => {
    if (now.state !== state || performance.now() - lookedAt > logEveryMs) {
      lookedAt = performance.now();
      for (const line of await tail.next()) output.item({ log: line }, logText(line));
    }
    state = now.state;
    if (output.json) output.item({ run: now }, '');
    else showProgress(output, now);
  });
  if (!output.json) output.result(run, describeRun(run));
  return run.state === 'succeeded' ? 0 : 1;
}

/** @throws CliError `UsageInvalid` */
export function checkedRunId(reference: string): string {
  if (isId(reference)) return reference;
  throw new CliError(
    'UsageInvalid',
    `${JSON.stringify(reference)} is not the id of a run.`,
    'strideiq runs lists them with their ids.',
  );
}
