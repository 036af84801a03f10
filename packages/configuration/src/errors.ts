import { CodedError } from '@strideiq/core';

/**
 * What can be wrong with what a host was told.
 * - `ConfigurationMissing`, `ConfigurationUnreadable`: no file there, or not ours to read.
 * - `ConfigurationInvalid`: read, and not usable; carries every problem with its place.
 * - `SecretUnavailable`: a password or key that the configuration points at cannot be had now.
 */
export type ConfigurationErrorCode =
  | 'ConfigurationMissing'
  | 'ConfigurationUnreadable'
  | 'ConfigurationInvalid'
  | 'SecretUnavailable';

/** An error of the host's configuration; programs end with exit code 2 on it. */
export class ConfigurationError<
  Code extends ConfigurationErrorCode = ConfigurationErrorCode,
> extends CodedError<Code> {}

/** One thing that is wrong. Never holds a value that could be a secret. */
export interface Problem {
  /** Where it stands in the file, both from 1; absent for what came from arguments. */
  line?: number;
  column?: number;
  /** Path of the key, `databases.running_app.stores[1]`; empty for the document itself. */
  key: string;
  /** What is wrong, a clause without full stop. */
  what: string;
  /** What would be right, a sentence; may be empty. */
  cure: string;
}

/** A configuration that cannot be used, with all that is wrong about it in the order of the file. */
export class ConfigurationInvalid extends ConfigurationError<'ConfigurationInvalid'> {
  readonly problems: readonly Problem[];

  /** @param source the file's name, or `The command line` */
  constructor(source: string, problems: readonly Problem[]) {
    const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
    super('ConfigurationInvalid', `${source} has ${count}:\n${problems.map((each) => line(source, each)).join('\n')}`);
    this.problems = problems;
  }
}

function line(source: string, { line, column, key, what, cure }: Problem): string {
  const place = line === undefined ? '' : `${source}:${line}:${column ?? 1}: `;
  const name = key === '' ? '' : `${key}: `;
  return `  ${place}${name}${what}.${cure === '' ? '' : ` ${cure}`}`;
}
