import { codeOf, paragraphOf } from '@strideiq/core';
import { Output } from '@strideiq/terminal';
import { connectionOf, type Connection, type ConnectionOptions } from './access/connection.ts';
import { credentialsFileOf, readCredentials } from './access/credentials-file.ts';
import { trustAuthority } from './connection/authority.ts';
import { openClient, type Client } from './connection/client.ts';
import { errorOf } from './connection/problems.ts';
import { CliError, exitCodeOf } from './errors.ts';

/** Options that every command has. */
export interface CommonOptions extends ConnectionOptions {
  json?: boolean;
  quiet?: boolean;
}

/** What a command works with that asks no control plane yet. */
export interface Surroundings {
  env: NodeJS.ProcessEnv;
  now: () => number;
  output: Output;
  /** Aborts on Ctrl-C. */
  signal: AbortSignal;
  credentialsFile: string;
  /** Never shown; what is learnt on the way is added. */
  secrets: Set<string>;
}

/** What a command works with that asks one. */
export interface Command extends Surroundings {
  connection: Connection;
  client: Client;
}

/**
 * Runs one command to its exit code: ends on Ctrl-C, and prints errors once.
 * @param work resolves to the exit code
 */
export async function runAlone(
  options: CommonOptions,
  env: NodeJS.ProcessEnv,
  work: (surroundings: Surroundings) => Promise<number>,
): Promise<number> {
  const interruption = new AbortController();
  const secrets = new Set<string>();
  const output = new Output({ json: options.json ?? false, quiet: options.quiet ?? false, secrets });
  const onSignal = (name: NodeJS.Signals) => {
    if (interruption.signal.aborted) process.exit(130);
    interruption.abort(new CliError('Interrupted', `Interrupted by ${name}.`));
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  try {
    if (env['STRIDEIQ_KEY']) secrets.add(env['STRIDEIQ_KEY'].trim());
    const credentialsFile = credentialsFileOf(env);
    return await work({ env, now: Date.now, output, signal: interruption.signal, credentialsFile, secrets });
  } catch (error) {
    const said = interruption.signal.aborted ? interruption.signal.reason : error;
    output.failure(codeOf(said), paragraphOf(said));
    return exitCodeOf(said);
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

/** The same for a command that asks the control plane. */
export async function runCommand(
  options: CommonOptions,
  env: NodeJS.ProcessEnv,
  work: (command: Command) => Promise<number>,
): Promise<number> {
  return runAlone(options, env, async (surroundings) => {
    const { credentialsFile, output } = surroundings;
    const credentials = readCredentials(credentialsFile, (text) => output.warn(text));
    const connection = connectionOf(credentials, options, env);
    return asking(surroundings, connection, work);
  });
}

/** Opens the client for a piece of work, and tells its failures in our own words. */
export async function asking<T>(
  surroundings: Surroundings,
  connection: Connection,
  work: (command: Command) => Promise<T>,
): Promise<T> {
  const { output, secrets, signal } = surroundings;
  secrets.add(connection.key);
  if (connection.ca !== undefined) trustAuthority(connection.ca);
  const client = openClient(connection, { signal, note: (text) => output.note(text) });
  try {
    return await work({ ...surroundings, connection, client });
  } catch (error) {
    throw errorOf(error, connection);
  }
}
