import type { KeptPolicy } from '@strideiq/control-plane/router';
import { paragraphOf, type Policy } from '@strideiq/core';
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { CliError } from '../errors.ts';
import { momentToCome } from '../keys/create.ts';
import { databaseName, findDatabase } from '../names/find-database.ts';
import type { Command } from '../run-command.ts';
import { changeAlerts, durationOf, goalOf, lineOf, rulesOf } from './rules.ts';
import { policyText } from './show.ts';

export interface SetOptions {
  /** JSON of a whole policy. */
  file?: string;
  fromHost?: boolean;
  /** Cron lines; `false` for --no-schedule. */
  schedule?: string[] | false;
  timezone?: string;
  jitter?: string;
  catchUp?: boolean;
  catchUpLimit?: string;
  runLimit?: string;
  keep?: string[];
  verify?: string;
  verifyAfterBackup?: boolean;
  drill?: string;
  goal?: string[];
  alert?: string[];
}

/** `policy set DATABASE …`: changes what is named, and leaves the rest; or takes a whole policy. */
export async function setPolicy(command: Command, reference: string, options: SetOptions): Promise<number> {
  const { file, fromHost, ...changes } = options;
  const named = Object.keys(changes).filter((key) => key in changers);
  if ([file !== undefined, fromHost === true, named.length > 0].filter(Boolean).length !== 1) {
    throw new CliError(
      'UsageInvalid',
      'What is to be different?',
      'Name parts of it (--schedule, --keep …), or a whole policy by --file FILE, or take what the host’s file says by --from-host.',
    );
  }
  if (fromHost === true) return takeFile(command, reference);
  if (file !== undefined) return replace(command, reference, await readPolicy(file));
  return change(command, reference, (policy) => {
    for (const key of named) changers[key as keyof typeof changers]?.(policy, changes);
  });
}

/** `policy pause DATABASE --until WHEN --reason TEXT` */
export async function pausePolicy(
  command: Command,
  reference: string,
  { until, reason }: { until: string; reason: string },
): Promise<number> {
  const ends = momentToCome('--until', until, command.now());
  return change(command, reference, (policy) => {
    policy.pause = { reason, until: ends };
  });
}

/** `policy resume DATABASE` */
export async function resumePolicy(command: Command, reference: string): Promise<number> {
  return change(command, reference, (policy) => {
    delete policy.pause;
  });
}

const timed = (option: string, said: string | undefined) => (said === undefined ? undefined : durationOf(option, said));

const changers: { [Key in keyof Omit<SetOptions, 'file' | 'fromHost'>]-?: (policy: Policy, said: SetOptions) => void } =
  {
    schedule: (policy, { schedule }) => {
      policy.schedule = schedule === undefined || schedule === false ? [] : schedule.map(lineOf);
    },
    timezone: (policy, { timezone = 'UTC' }) => {
      policy.timezone = timezone;
    },
    jitter: (policy, { jitter }) => {
      policy.jitterMs = timed('--jitter', jitter) ?? 0;
    },
    catchUp: (policy, { catchUp = true }) => {
      policy.catchUp = catchUp;
    },
    catchUpLimit: (policy, { catchUpLimit }) => {
      policy.catchUpLimitMs = timed('--catch-up-limit', catchUpLimit) ?? policy.catchUpLimitMs;
    },
    runLimit: (policy, { runLimit }) => {
      if (runLimit === 'none') delete policy.runLimitMs;
      else policy.runLimitMs = timed('--run-limit', runLimit);
    },
    keep: (policy, { keep = [] }) => {
      const retention = new Map(Object.entries(policy.retention));
      for (const { store, rules } of keep.map(rulesOf)) {
        if (rules) retention.set(store, rules);
        else retention.delete(store);
      }
      policy.retention = Object.fromEntries(retention);
    },
    verify: (policy, { verify = 'never' }) => {
      policy.verify = { ...policy.verify, schedule: verify };
    },
    verifyAfterBackup: (policy, { verifyAfterBackup = true }) => {
      policy.verify = { ...policy.verify, afterBackup: verifyAfterBackup };
    },
    drill: (policy, { drill = 'never' }) => {
      policy.drill = drill === 'never' ? {} : { schedule: drill };
    },
    goal: (policy, { goal = [] }) => {
      for (const { scenarios, ...limits } of goal.map(goalOf)) {
        for (const scenario of scenarios) policy.objectives[scenario] = { ...policy.objectives[scenario], ...limits };
      }
    },
    alert: ({ alerts }, { alert = [] }) => {
      for (const said of alert) changeAlerts(alerts, said);
    },
  };

/** Whoever was quicker is not overwritten: the change is of the version that was read. */
async function change(command: Command, reference: string, edit: (policy: Policy) => void): Promise<number> {
  const { client } = command;
  const { id: databaseId } = await findDatabase(client, reference);
  const { version, policy } = await client.policies.get.query({ databaseId });
  const edited = structuredClone(policy);
  edit(edited);
  return told(
    command,
    reference,
    version,
    await client.policies.set.mutate({ databaseId, policy: edited, after: version }),
  );
}

async function replace(command: Command, reference: string, { policy, version }: ReadPolicy): Promise<number> {
  const { id: databaseId } = await findDatabase(command.client, reference);
  const after = version === undefined ? {} : { after: version };
  return told(
    command,
    reference,
    undefined,
    await command.client.policies.set.mutate({ databaseId, policy, ...after }),
  );
}

interface ReadPolicy {
  policy: Policy;
  /** That it was printed of: somebody may have changed it since. */
  version?: number;
}

async function takeFile(command: Command, reference: string): Promise<number> {
  const { id: databaseId } = await findDatabase(command.client, reference);
  return told(command, reference, undefined, await command.client.policies.takeFile.mutate({ databaseId }));
}

async function told(
  { client, output }: Command,
  reference: string,
  before: number | undefined,
  kept: KeptPolicy,
): Promise<number> {
  const name = databaseName(await findDatabase(client, reference));
  output.result(kept, policyText(name, kept));
  if (kept.version === before) output.note('It was so already.');
  return 0;
}

/** @throws CliError `FileUnusable`, `UsageInvalid` */
async function readPolicy(file: string): Promise<ReadPolicy> {
  let json: string;
  try {
    json = file === '-' ? await text(process.stdin) : readFileSync(file, 'utf8');
  } catch (error) {
    throw new CliError('FileUnusable', `The policy cannot be read: ${paragraphOf(error)}.`, 'Name a file of JSON.');
  }
  try {
    const said: unknown = JSON.parse(json);
    if (typeof said === 'object' && said !== null) {
      // As `policy show --json` prints it, or the policy alone. What is wrong with it the control plane tells.
      const { policy = said, version } = said as { policy?: unknown; version?: number };
      return { policy: policy as Policy, ...(version === undefined ? {} : { version }) };
    }
  } catch {
    // Told below.
  }
  throw new CliError(
    'UsageInvalid',
    `${file} holds no policy as JSON.`,
    '`strideiq policy show DATABASE --json` prints one.',
  );
}
