import { durationMs } from '@strideiq/configuration';
import { safeName } from '@strideiq/core';
import { table } from '@strideiq/terminal';
import { keyOf, type Key } from '../api/key-view.ts';
import type { Role } from '../catalog/schema.ts';
import { ControlPlaneError } from '../errors.ts';
import { ApiKeys } from '../keys/api-keys.ts';
import { withCatalog, type Command } from './run-command.ts';

export interface NewKeyOptions {
  name: string;
  role: Role;
  environment?: string[];
  allEnvironments?: boolean;
  expires?: string;
}

/** Who did it, in the audit: whoever may write to the catalog needs no key. */
const actor = 'local';

export function createKey(command: Command, options: NewKeyOptions): number {
  const { output, now } = command;
  const { role } = options;
  const name = nameOf(options);
  const environments = environmentsOf(options);
  const expiresAt = options.expires === undefined ? null : momentOf(options.expires, now());
  const { key, row } = withCatalog(command, (catalog) =>
    new ApiKeys(catalog, now).create({ name, role, environments, expiresAt }, actor),
  );
  const reach = environments === null ? 'all environments' : environments.join(', ');
  output.note(`Key ${row.id}, ${role} of ${reach}. It is shown this once:`);
  output.result({ ...keyOf(row), key }, key);
  return 0;
}

export function listKeys(command: Command): number {
  const { output, now } = command;
  const items = withCatalog(command, (catalog) => new ApiKeys(catalog, now).list()).map(keyOf);
  const rows = items.map((key) => [
    key.id,
    key.name,
    key.role,
    key.environments?.join(', ') ?? 'all',
    stateOf(key, now()),
    key.lastUsedAt ?? 'never',
  ]);
  output.result({ items }, table(['ID', 'NAME', 'ROLE', 'ENVIRONMENTS', 'STATE', 'LAST USED'], rows));
  return 0;
}

export function revokeKey(command: Command, id: string): number {
  const { output, now } = command;
  const row = withCatalog(command, (catalog) => new ApiKeys(catalog, now).revoke(id, actor));
  output.result(keyOf(row), `The key ${row.name} (${row.id}) is revoked.`);
  return 0;
}

function stateOf({ revokedAt, expiresAt }: Key, now: number): string {
  if (revokedAt !== null) return 'revoked';
  if (expiresAt === null) return 'good';
  return Date.parse(expiresAt) <= now ? 'expired' : `good until ${expiresAt}`;
}

/** As the API takes it. */
function nameOf({ name }: NewKeyOptions): string {
  const said = name.trim();
  if (said !== '' && said.length <= 200) return said;
  throw new ControlPlaneError('UsageInvalid', '--name must be 1 to 200 letters.', 'Say what the key is for.');
}

/** Said in so many words: a key for everything is nothing to get by leaving something out. */
function environmentsOf({ environment, allEnvironments }: NewKeyOptions): string[] | null {
  if ((environment === undefined) !== (allEnvironments === true)) {
    throw new ControlPlaneError(
      'UsageInvalid',
      'Which environments is the key for?',
      'Name them by --environment NAME, which may be repeated, or say --all-environments.',
    );
  }
  const wrong = environment?.find((name) => !safeName.test(name));
  if (wrong === undefined) return environment ?? null;
  throw new ControlPlaneError(
    'UsageInvalid',
    `${JSON.stringify(wrong)} cannot be the name of an environment.`,
    'Use letters, digits, dot, dash and underscore, beginning with a letter or digit.',
  );
}

/** What comes later has no form on the wire (RFC 3339 ends with this year), where every list of keys must show it. */
const lastMoment = Date.parse('9999-12-31T23:59:59.999Z');

function momentOf(text: string, now: number): number {
  const duration = durationMs(text);
  const at = duration === undefined ? Date.parse(text) : now + duration;
  if (at > now && at <= lastMoment) return at;
  throw new ControlPlaneError(
    'UsageInvalid',
    `--expires ${text} is no moment to come, or one beyond the year 9999.`,
    'Use a duration, such as 90d or 12h, or a moment, such as 2027-01-31T00:00:00Z.',
  );
}
