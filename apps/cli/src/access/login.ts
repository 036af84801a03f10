import { resolve } from 'node:path';
import { CliError } from '../errors.ts';
import { asking, type Surroundings } from '../run-command.ts';
import { addressOf } from './address.ts';
import type { Connection, ConnectionOptions } from './connection.ts';
import { readCredentials, writeCredentials } from './credentials-file.ts';
import { keyFrom } from './key.ts';

/** `login --url URL [--key-file FILE]`: checks a key, and keeps it. */
export async function login(
  surroundings: Surroundings,
  options: ConnectionOptions & { url?: string; keyFile?: string },
): Promise<number> {
  const { env, output, signal, credentialsFile } = surroundings;
  const said = options.url ?? env['STRIDEIQ_URL'];
  if (!said) {
    throw new CliError('UsageInvalid', 'Log in where?', 'Name the control plane: --url https://backup.example.com');
  }
  const url = addressOf(said, { allowPlainText: options.allowPlainText ?? false });
  const name = options.context ?? new URL(url).host;
  checkContextName(name);
  // Read before anything is asked: who cannot keep a key need not type it.
  const credentials = readCredentials(credentialsFile, (text) => output.warn(text));
  const key = await keyFrom({ ...(options.keyFile === undefined ? {} : { keyFile: options.keyFile }), env, signal });
  const ca = options.ca === undefined ? undefined : resolve(options.ca);
  const connection: Connection = { url, key, ...(ca === undefined ? {} : { ca }) };
  const caller = await asking(surroundings, connection, async ({ client }) => client.system.whoami.query({}));
  writeCredentials(credentialsFile, {
    ...credentials,
    current: name,
    contexts: {
      ...credentials.contexts,
      [name]: { ...connection, ...(options.allowPlainText ? { allowPlainText: true } : {}) },
    },
  });
  const reach = caller.environments === null ? 'all environments' : caller.environments.join(', ');
  const until = caller.expiresAt === null ? '' : `, until ${caller.expiresAt}`;
  output.result(
    { context: name, url, ...caller },
    `Logged in to ${url} with the key ${caller.name}: ${caller.role} of ${reach}${until}.\nKept in ${credentialsFile} as ${name}.`,
  );
  return 0;
}

function checkContextName(name: string): void {
  if (/^[A-Za-z0-9[][A-Za-z0-9._:\][-]{0,99}$/.test(name)) return;
  throw new CliError(
    'UsageInvalid',
    `${JSON.stringify(name)} cannot be the name of a context.`,
    'Use letters, digits, dot, dash, colon and underscore.',
  );
}
