import {
  databaseIdOf,
  foreignPolicySchema,
  parseBackupName,
  policyProblems,
  type Pin,
  type Policy,
} from '@strideiq/core';
import type { Policies, PushedPolicy } from '@strideiq/protocol';
import type { AgentConfiguration, DatabaseConfiguration } from '../configuration/index.ts';
import type { PolicyBook } from '../journal/policy-book.ts';

/** By what a database is looked after. */
interface InForce {
  /** Of the control plane's policy; left out: the host's file says. */
  version?: number;
  /** Why the control plane's is not, where it keeps one. */
  problem?: string;
  pins: Pin[];
}

interface Current {
  /** What it was made of. */
  file: AgentConfiguration;
  configuration: AgentConfiguration;
  inForce: Map<string, InForce>;
}

/** The host's file, with the databases that were found on its servers: another object as soon as others are. */
export interface KnownDatabases {
  readonly configuration: AgentConfiguration;
}

/** What there is to say of policies that were taken. */
export interface TakenPolicies {
  notes: string[];
  problems: string[];
}

/**
 * Schedule and retention of this host's databases. Where it has a control plane that keeps policies, those are in force, and
 * what the host's file says was their seed; they are in the journal, so that the host goes by them alone.
 */
export class KeptPolicies {
  readonly #known: KnownDatabases;
  readonly #book: PolicyBook;
  #read: Current;

  constructor(known: KnownDatabases, book: PolicyBook) {
    this.#known = known;
    this.#book = book;
    this.#read = this.#readAll();
  }

  get #current(): Current {
    // Other databases were found meanwhile.
    if (this.#read.file !== this.file) this.#read = this.#readAll();
    return this.#read;
  }

  /** All of it, with the policies that are in force; another object after each change. */
  get configuration(): AgentConfiguration {
    return this.#current.configuration;
  }

  /** As the file says, with the databases that were found: what the control plane is told of it. */
  get file(): AgentConfiguration {
    return this.#known.configuration;
  }

  of(databaseId: string): InForce {
    return this.#current.inForce.get(databaseId) ?? { pins: [] };
  }

  /** @throws where the journal cannot be written to: those of before are in force then */
  take({ policies }: Policies): TakenPolicies {
    const before = this.#current;
    this.#book.replace(policies);
    this.#read = this.#readAll();
    const taken: TakenPolicies = { notes: [], problems: [] };
    const { environment, databases } = this.file;
    for (const { name } of Object.values(databases)) {
      const databaseId = databaseIdOf(environment, name);
      tell(taken, name, before.inForce.get(databaseId), this.of(databaseId));
    }
    return taken;
  }

  #readAll(): Current {
    const { file } = this;
    // Whoever takes the control plane out of the file goes by the file again.
    const kept = file.controlPlane === undefined ? [] : this.#book.all();
    const inForce = new Map<string, InForce>();
    const databases = Object.fromEntries(
      Object.entries(file.databases).map(([key, database]) => {
        const databaseId = databaseIdOf(file.environment, database.name);
        const pushed = kept.find((each) => each.databaseId === databaseId);
        if (!pushed) return [key, database];
        const pins = pinsOf(pushed);
        const policy = readPolicy(pushed, database);
        if (typeof policy === 'string') {
          inForce.set(databaseId, { problem: policy, pins });
          return [key, database];
        }
        inForce.set(databaseId, { version: pushed.version, pins });
        return [key, withPolicy(database, policy)];
      }),
    );
    return { file, configuration: { ...file, databases }, inForce };
  }
}

/** @returns the problem, where it cannot be in force here */
function readPolicy({ version, policy }: PushedPolicy, { stores }: DatabaseConfiguration): Policy | string {
  const { data, error } = foreignPolicySchema.safeParse(policy);
  const problems = data
    ? policyProblems(data, stores)
    : error.issues.map(({ path, message }) => `${path.join('.')} ${message}.`);
  if (data && problems.length === 0) return data;
  return `The control plane's policy, version ${version}, does not fit this host's file, which is gone by instead: ${problems.join(' ')}`;
}

function pinsOf({ pins }: PushedPolicy): Pin[] {
  return pins.flatMap(({ objectName, reason, until }) => {
    const stem = parseBackupName(objectName)?.names.stem;
    return stem === undefined ? [] : [{ backupId: stem, reason, until: until === null ? null : Date.parse(until) }];
  });
}

function tell(taken: TakenPolicies, name: string, before: InForce | undefined, { version, problem }: InForce): void {
  if (problem !== undefined && problem !== before?.problem) taken.problems.push(`${name}: ${problem}`);
  if (version === before?.version) return;
  if (version === undefined) {
    if (problem === undefined)
      taken.problems.push(`the control plane keeps no policy of ${name} any more: this host's file is gone by`);
    return;
  }
  if (before?.version !== undefined && version < before.version) {
    taken.problems.push(
      `the control plane's policy of ${name} went back from version ${before.version} to ${version}: its catalog may be an older one; see that the policy is still what it should be`,
    );
  } else taken.notes.push(`the policy of ${name} is version ${version} of the control plane's`);
}

/** What the host's file says of schedule and retention: the seed of the policy that the control plane keeps. */
export function policyOf(database: DatabaseConfiguration): Policy {
  const { schedule, timezone, jitterMs, catchUp, catchUpLimitMs, runLimitMs, pause, verify, drill, retention } =
    database;
  return {
    schedule: schedule.map(({ cron, stores }) => (stores ? { cron, stores: [...stores] } : { cron })),
    timezone,
    jitterMs,
    catchUp,
    catchUpLimitMs,
    ...(runLimitMs === undefined ? {} : { runLimitMs }),
    ...(pause ? { pause: { reason: pause.reason, until: new Date(pause.untilMs).toISOString() } } : {}),
    verify,
    drill: drill.schedule === undefined ? {} : { schedule: drill.schedule },
    retention,
  };
}

function withPolicy(database: DatabaseConfiguration, policy: Policy): DatabaseConfiguration {
  const { schedule, pause, drill, runLimitMs, ...same } = policy;
  return {
    ...database,
    ...same,
    runLimitMs,
    schedule: schedule.map(({ cron, stores }) => ({ cron, stores })),
    pause: pause && { reason: pause.reason, untilMs: Date.parse(pause.until) },
    drill: { ...database.drill, schedule: drill.schedule },
  };
}
