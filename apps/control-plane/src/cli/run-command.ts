import { codeOf, paragraphOf } from '@strideiq/core';
import { Output } from '@strideiq/terminal';
import { resolve } from 'node:path';
import { catalogFileIn, openCatalog, type Catalog } from '../catalog/open-catalog.ts';
import { loadConfiguration, type ControlPlaneConfiguration } from '../configuration/index.ts';
import { exitCodeOf } from '../errors.ts';

/** Options that every command has. */
export interface CommonOptions {
  config?: string;
  dataDir?: string;
  json?: boolean;
}

/** What a command works with. */
export interface Command {
  configuration: ControlPlaneConfiguration;
  output: Output;
  env: NodeJS.ProcessEnv;
  now: () => number;
}

/** Runs one command to its exit code, and prints what went wrong, once. */
export async function runCommand(
  options: CommonOptions,
  work: (command: Command) => Promise<number> | number,
): Promise<number> {
  const output = new Output({ json: options.json ?? false, quiet: false, secrets: new Set() });
  try {
    const loaded = await loadConfiguration(options.config, process.env);
    const configuration = options.dataDir === undefined ? loaded : { ...loaded, dataDir: resolve(options.dataDir) };
    return await work({ configuration, output, env: process.env, now: Date.now });
  } catch (error) {
    output.failure(codeOf(error), paragraphOf(error));
    return exitCodeOf(error);
  }
}

/**
 * Opens the server's catalog for one command, whether the server has it open too or not.
 * @throws ControlPlaneError `NotFound`, `DataUnusable`
 */
export function withCatalog<Result>({ configuration }: Command, work: (catalog: Catalog) => Result): Result {
  catalogFileIn(configuration.dataDir);
  const catalog = openCatalog(configuration.dataDir);
  try {
    return work(catalog);
  } finally {
    catalog.$client.close();
  }
}
