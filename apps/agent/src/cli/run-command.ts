import { existsSync } from 'node:fs';
import { codeOf, paragraphOf, safeName } from '@strideiq/core';
import { Output } from '@strideiq/terminal';
import { Host, type Surroundings } from '../compose.ts';
import { databaseOfServer } from '../discovery/discovery.ts';
import { problemsOf } from '../discovery/watch-servers.ts';
import {
  configurationFromArguments,
  loadConfiguration,
  type AgentConfiguration,
  type DatabaseConfiguration,
} from '../configuration/index.ts';
import { AgentError, exitCodeOf } from '../errors.ts';
import type { ReportProgress } from '../progress/progress.ts';
import { progressOn } from './terminal-progress.ts';

/** Options that every command has. */
export interface CommonOptions {
  config?: string;
  json?: boolean;
  quiet?: boolean;
  stateDir?: string;
  databaseUrl?: string;
  databaseUrlFile?: string;
  backupDir?: string;
  s3?: string;
  environment?: string;
  /** Of a command that says all by itself, event by event: also that it stops, and what the configuration warns of. */
  saysEvents?: boolean;
  /** Of a command that asks servers for their databases by itself, or needs none. */
  findsDatabases?: boolean;
  /** REF, where the command has one: a path or URL needs no configuration. */
  reference?: string;
}

/** What a command works with. */
export interface Command {
  host: Host;
  output: Output;
  progress: ReportProgress;
  surroundings: Surroundings;
}

export const defaultConfigurationFile = '/etc/strideiq/agent.yaml';

/**
 * Runs one command to its exit code: reads the configuration, builds the host, ends on Ctrl-C in good order, prints
 * errors once and closes everything.
 * @param work resolves to the exit code
 */
export async function runCommand(options: CommonOptions, work: (command: Command) => Promise<number>): Promise<number> {
  const interruption = new AbortController();
  const secrets = new Set<string>();
  const output = new Output({ json: options.json ?? false, quiet: options.quiet ?? false, secrets });
  const surroundings = { env: process.env, now: Date.now, signal: interruption.signal, secrets };
  const onSignal = (name: NodeJS.Signals) => {
    // A second Ctrl-C means it: the next start clears what this one leaves.
    if (interruption.signal.aborted) process.exit(130);
    if (!options.saysEvents)
      output.note(`${name}: stopping, and clearing what is half done. Once more to leave at once.`);
    interruption.abort(new AgentError('Interrupted', `Interrupted by ${name}.`, 'Nothing half done was kept.'));
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  let host: Host | undefined;
  try {
    const configuration = await configurationOf(options);
    if (!options.saysEvents) for (const warning of configuration.warnings) output.warn(warning);
    host = new Host(configuration, surroundings);
    host.heartbeats.warn = (text) => output.warn(text);
    if (!options.findsDatabases) await findDatabases(host, output);
    return await work({ host, output, progress: progressOn(output), surroundings });
  } catch (error) {
    output.failure(codeOf(error), paragraphOf(error));
    return exitCodeOf(error);
  } finally {
    await host?.heartbeats.settled();
    host?.close();
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

/** What is there now; where a server cannot be asked, what was there when it last could. */
async function findDatabases({ discovery }: Host, output: Output): Promise<void> {
  if (!discovery.hasServers) return;
  const looks = await discovery.look();
  for (const problem of looks.flatMap(problemsOf)) output.warn(problem);
}

async function configurationOf(options: CommonOptions): Promise<AgentConfiguration> {
  const withoutFile = options.databaseUrl ?? options.databaseUrlFile ?? options.backupDir ?? options.s3;
  const placeNeeded = !(options.reference === '-' || (options.reference?.includes('/') ?? false));
  const nothingSaid = withoutFile === undefined && options.config === undefined;
  if (nothingSaid && !placeNeeded && !existsSync(defaultConfigurationFile)) {
    return configurationFromArguments({ ...options, placeNeeded }, process.env);
  }
  if (withoutFile === undefined) {
    if (options.environment !== undefined) {
      throw new AgentError(
        'UsageInvalid',
        '--environment was given beside a configuration file, which says it itself.',
        'Leave it out, or change `environment` in the file.',
      );
    }
    const configuration = await loadConfiguration(options.config ?? defaultConfigurationFile);
    return options.stateDir === undefined ? configuration : { ...configuration, stateDir: options.stateDir };
  }
  if (options.config !== undefined) {
    throw new AgentError(
      'UsageInvalid',
      'Both --config and a database or place on the command line were given.',
      'Use one of the two.',
    );
  }
  return configurationFromArguments({ ...options, placeNeeded }, process.env);
}

/** @throws AgentError `UsageInvalid` where `--store` names one that the database does not have */
export function checkStoreNames(database: DatabaseConfiguration, names: readonly string[] = []): void {
  const unknown = names.find((name) => !database.stores.includes(name));
  if (unknown === undefined) return;
  throw new AgentError(
    'UsageInvalid',
    `${database.name} has no store ${JSON.stringify(unknown)}.`,
    `It has: ${database.stores.join(', ')}.`,
  );
}

/**
 * The database a command is about; the only one where there is one.
 * @throws AgentError `UsageInvalid`
 */
export function databaseOf(
  configuration: AgentConfiguration,
  name: string | undefined,
  cure = 'Name one of them.',
): DatabaseConfiguration {
  const all = Object.values(configuration.databases);
  const names = all.map((database) => database.name).join(', ') || 'no database, and none was found on its servers';
  const [first, second] = all;
  if (name === undefined && first && !second) return first;
  if (name === undefined) {
    throw new AgentError('UsageInvalid', 'Which database?', `The configuration holds: ${names}. ${cure}`);
  }
  const named = Object.hasOwn(configuration.databases, name) ? configuration.databases[name] : undefined;
  if (named) return named;
  if (configuration.file === undefined) {
    throw new AgentError(
      'UsageInvalid',
      `The command line names the database ${names}, and not ${JSON.stringify(name)}.`,
      'Without a configuration file the database is the one of --database-url (or PGDATABASE): leave the name out.',
    );
  }
  throw new AgentError(
    'UsageInvalid',
    `There is no database ${JSON.stringify(name)} in ${configuration.file}.`,
    `It holds: ${names}.`,
  );
}

/**
 * The database whose backups a command is about. On a new host nothing may have been found yet, since the server is empty:
 * where one entry of the file stands for all databases of a server, one that nobody knows is taken to be of that one.
 * @throws AgentError `UsageInvalid`
 */
export function databaseOfBackups(configuration: AgentConfiguration, name: string | undefined): DatabaseConfiguration {
  const [server, another] = Object.values(configuration.servers);
  const isKnown = name === undefined || Object.hasOwn(configuration.databases, name);
  if (isKnown || server === undefined || another !== undefined || !safeName.test(name)) {
    return databaseOf(configuration, name);
  }
  return databaseOfServer(server, name);
}
