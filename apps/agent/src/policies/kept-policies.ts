import {
  databaseIdOf,
  fittedPolicy,
  foreignPolicySchema,
  parseBackupName,
  policyProblems,
  type Pin,
  type Policy,
} from '@strideiq/core';
import type { Policies, PushedPolicy } from '@strideiq/protocol';
import type { ZodError } from 'zod';
import type { AgentConfiguration, DatabaseConfiguration } from '../configuration/index.ts';
import type { PolicyBook } from '../journal/policy-book.ts';

/** By what a database is looked after. */
interface InForce {
  /** Of the control plane's policy; left out: the host's file says. */
  version?: number;
  /** Why the control plane's is not, or not all of it. */
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
interface KnownDatabases {
  readonly configuration: AgentConfiguration;
}

/** What there is to say of policies that were taken. */
interface TakenPolicies {
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
    const taken: TakenPolicies = { notes: [], problems: [] };
    const known = new Map(this.#book.all().map((each) => [each.databaseId, each]));
    this.#book.replace(policies.map((pushed) => this.#better(pushed, known.get(pushed.databaseId), taken)));
    this.#read = this.#readAll();
    const { environment, databases } = this.file;
    for (const { name } of Object.values(databases)) {
      const databaseId = databaseIdOf(environment, name);
      tell(taken, name, before.inForce.get(databaseId), this.of(databaseId));
    }
    return taken;
  }

  /** What cannot be read, and what an older catalog says, leaves the policy as it was: nothing good is lost by it. */
  #better(pushed: PushedPolicy, known: PushedPolicy | undefined, taken: TakenPolicies): PushedPolicy {
    const { version, databaseId, pins } = pushed;
    const { environment, databases } = this.file;
    const name =
      Object.values(databases).find((each) => databaseIdOf(environment, each.name) === databaseId)?.name ?? databaseId;
    // The first of all: that nothing of it is in force is told of as any policy's problem is.
    if (!known) return pushed;
    const goesOn = `it goes on by version ${known.version}`;
    const { error } = foreignPolicySchema.safeParse(pushed.policy);
    if (error) {
      taken.problems.push(
        `${name}: version ${version} of the control plane's policy cannot be read, and ${goesOn}: ${wordsOf(error)}`,
      );
      return { ...known, pins };
    }
    if (known.version <= version) return pushed;
    taken.problems.push(
      `${name}: the control plane's policy went back to version ${version}: its catalog may be an older one, and ${goesOn}. Whoever sets the policy there makes a newer one`,
    );
    return known;
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
        const { data: policy, error } = foreignPolicySchema.safeParse(pushed.policy);
        if (!policy) {
          const problem = `version ${pushed.version} of the control plane's policy cannot be read, and this host's file is gone by: ${wordsOf(error)}`;
          inForce.set(databaseId, { problem, pins });
          return [key, database];
        }
        const misfits = policyProblems(policy, database.stores);
        const problem = misfits.length === 0 ? undefined : `the rest of its policy is gone by: ${misfits.join(' ')}`;
        inForce.set(databaseId, { version: pushed.version, pins, ...(problem === undefined ? {} : { problem }) });
        return [key, withPolicy(database, fittedPolicy(policy, database.stores))];
      }),
    );
    return { file, configuration: { ...file, databases }, inForce };
  }
}

const wordsOf = ({ issues }: ZodError): string =>
  issues.map(({ path, message }) => `${path.join('.')} ${message}`).join('; ');

function pinsOf({ pins }: PushedPolicy): Pin[] {
  return pins.flatMap(({ objectName, reason, until }) => {
    const stem = parseBackupName(objectName)?.names.stem;
    return stem === undefined ? [] : [{ backupId: stem, reason, until: until === null ? null : Date.parse(until) }];
  });
}

function tell(taken: TakenPolicies, name: string, before: InForce | undefined, { version, problem }: InForce): void {
  if (problem !== undefined && problem !== before?.problem) taken.problems.push(`${name}: ${problem}`);
  if (version === before?.version) return;
  if (version !== undefined) taken.notes.push(`the policy of ${name} is version ${version} of the control plane's`);
  else if (problem === undefined) {
    taken.problems.push(`the control plane keeps no policy of ${name} any more: this host's file is gone by`);
  }
}

/** What the host's file says of schedule and retention: the seed of the policy that the control plane keeps. */
export function policyOf(database: DatabaseConfiguration): Policy {
  const { schedule, timezone, jitterMs, catchUp, catchUpLimitMs, runLimitMs, pause, verify, drill, retention } =
    database;
  const { objectives, alerts } = database;
  return {
    objectives,
    alerts,
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
