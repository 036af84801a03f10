import { CliError } from '../errors.ts';
import { addressOf } from './address.ts';
import type { Credentials } from './credentials-file.ts';
import { checkedKey } from './key.ts';

/** Options by which every command says where the control plane is. */
export interface ConnectionOptions {
  context?: string;
  ca?: string;
  allowPlainText?: boolean;
}

/** Where the control plane is, and how it is asked. */
export interface Connection {
  /** Without a slash at its end. */
  url: string;
  key: string;
  ca?: string;
  /** Name among what `login` kept; undefined where the environment says it all. */
  context?: string;
}

/**
 * Which control plane is meant: the one named by --context, else by STRIDEIQ_URL and STRIDEIQ_KEY, else the current one.
 * A key that was kept goes to the address that it was kept for, and to no other.
 * @throws CliError `NotLoggedIn`, `ContextUnknown`, `KeyUnusable`, and what `addressOf` throws
 */
export function connectionOf(
  credentials: Credentials,
  options: ConnectionOptions,
  { STRIDEIQ_URL: saidUrl, STRIDEIQ_KEY: saidKey, STRIDEIQ_CONTEXT: saidContext }: NodeJS.ProcessEnv,
): Connection {
  const name = options.context ?? (saidUrl ? contextAt(credentials, saidUrl) : saidContext || credentials.current);
  const context = name === undefined ? undefined : contextOf(credentials, name);
  const said = context?.url ?? saidUrl;
  if (!said) throw notLoggedIn(saidKey);
  const allowPlainText = options.allowPlainText ?? context?.allowPlainText ?? false;
  const url = addressOf(said, { allowPlainText });
  const key = options.context === undefined && saidKey ? checkedKey(saidKey, 'STRIDEIQ_KEY') : context?.key;
  if (key === undefined) throw noKeyFor(url);
  const ca = options.ca ?? context?.ca;
  return { url, key, ...(ca === undefined ? {} : { ca }), ...(name === undefined ? {} : { context: name }) };
}

function contextAt({ contexts }: Credentials, url: string): string | undefined {
  const address = addressOf(url, { allowPlainText: true });
  return Object.keys(contexts).find((name) => contexts[name]?.url === address);
}

/** @throws CliError `ContextUnknown` */
export function contextOf({ contexts }: Credentials, name: string): Credentials['contexts'][string] {
  const context = Object.hasOwn(contexts, name) ? contexts[name] : undefined;
  if (context) return context;
  const names = Object.keys(contexts).join(', ');
  throw new CliError(
    'ContextUnknown',
    `There is no context ${JSON.stringify(name)}.`,
    names === ''
      ? 'Log in first: strideiq login --url URL.'
      : `There are: ${names}. Another is made by: strideiq login --url URL --context ${name}`,
  );
}

function notLoggedIn(key: string | undefined): CliError {
  return new CliError(
    'NotLoggedIn',
    key ? 'STRIDEIQ_KEY is set, and nothing says to which control plane it belongs.' : 'Nobody is logged in.',
    key
      ? 'Set STRIDEIQ_URL too, or log in: strideiq login --url URL.'
      : 'Log in first: strideiq login --url https://backup.example.com, or set STRIDEIQ_URL and STRIDEIQ_KEY.',
  );
}

function noKeyFor(url: string): CliError {
  return new CliError(
    'NotLoggedIn',
    `STRIDEIQ_URL names ${url}, and there is no key for it.`,
    'Set STRIDEIQ_KEY too, or log in: strideiq login --url URL.',
  );
}
