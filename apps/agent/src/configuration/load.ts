import { stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { parseFile, readConfigurationFile, s3SecretKeys, type FileForm } from '@strideiq/configuration';
import type { z } from 'zod';
import type { ConnectionConfiguration } from './connection.ts';
import { crossChecks } from './cross-checks.ts';
import { configurationJsonSchema } from './json-schema.ts';
import { agentFileSchema, type AgentConfiguration } from './schema.ts';
import type { StoreConfiguration } from './stores.ts';

/**
 * Reads and checks the host's file. Relative paths in it go from the file's own directory.
 * @param env the process's environment, for the default of `stateDir`
 * @throws ConfigurationError `ConfigurationMissing`, `ConfigurationUnreadable`
 * @throws ConfigurationInvalid with every problem, in the order of the file
 */
export async function loadConfiguration(
  file: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<AgentConfiguration> {
  const cure = 'Name it by --config FILE, or do without: --database-url URL with --backup-dir DIR or --s3 BUCKET.';
  const parsed = parseConfiguration(await readConfigurationFile(file, cure), file);
  const configuration = resolved(parsed, file, env);
  return { ...configuration, warnings: await warningsOf(configuration) };
}

/** Checks the text of a host's file; `file` is only its name. */
export function parseConfiguration(text: string, file: string): z.output<typeof agentFileSchema> {
  return parseFile(text, file, form, crossChecks) as z.output<typeof agentFileSchema>;
}

const secretFile =
  'passwordFile: /etc/strideiq/pg.pass (a file that only the agent can read) or passwordEnv: PGPASSWORD';
const form: FileForm = {
  schema: agentFileSchema,
  jsonSchema: configurationJsonSchema(),
  secretKeys: { password: secretFile, pgpassword: secretFile, ...s3SecretKeys },
};

function resolved(parsed: z.output<typeof agentFileSchema>, file: string, env: NodeJS.ProcessEnv): AgentConfiguration {
  const from = dirname(resolve(file));
  const entries = Object.entries(parsed.databases).map(([name, { include, exclude, ...entry }]) => {
    // A server's own entry names none of its databases.
    const database = include === undefined ? name : 'postgres';
    const connection = withDatabase(pathsFrom(from, entry.connection, connectionFiles), database);
    const heartbeat = entry.heartbeat && pathsFrom(from, entry.heartbeat, ['urlFile']);
    return { include, exclude, entry: { ...entry, name, connection, heartbeat } };
  });
  const databases = entries.flatMap(({ include, entry }) =>
    include === undefined ? [[entry.name, entry] as const] : [],
  );
  const servers = entries.flatMap(({ include, exclude, entry }) =>
    include === undefined ? [] : [[entry.name, { ...entry, exclude }] as const],
  );
  return {
    ...parsed,
    file: resolve(file),
    stateDir: parsed.stateDir === undefined ? defaultStateDir(env) : resolve(from, parsed.stateDir),
    stores: Object.fromEntries(Object.entries(parsed.stores).map(([name, store]) => [name, storeFrom(from, store)])),
    databases: Object.fromEntries(databases),
    servers: Object.fromEntries(servers),
    warnings: [],
  };
}

const connectionFiles = ['passwordFile', 'urlFile', 'sslrootcert', 'sslcert', 'sslkey'] as const;
const credentialFiles = ['accessKeyIdFile', 'secretAccessKeyFile', 'sessionTokenFile'] as const;

function pathsFrom<T extends Partial<Record<K, string | undefined>>, K extends string>(
  from: string,
  holder: T,
  keys: readonly K[],
): T {
  const paths = keys.flatMap((key) => (holder[key] === undefined ? [] : [[key, resolve(from, holder[key])]]));
  return { ...holder, ...Object.fromEntries(paths) };
}

function storeFrom(from: string, store: StoreConfiguration): StoreConfiguration {
  if (store.type === 'directory') return { ...store, path: resolve(from, store.path) };
  return store.credentials === undefined
    ? store
    : { ...store, credentials: pathsFrom(from, store.credentials, credentialFiles) };
}

/** A URL names its database itself; only where it does not, the key's own name stands in. */
function withDatabase(connection: ConnectionConfiguration, name: string): ConnectionConfiguration {
  const { url, urlFile, urlEnv } = connection;
  return url === undefined && urlFile === undefined && urlEnv === undefined
    ? { ...connection, database: connection.database ?? name }
    : { ...connection, fallbackDatabase: name };
}

/** Where journal and key live unless the file says so: the system's place for root, else the user's own (XDG). */
export function defaultStateDir(env: NodeJS.ProcessEnv): string {
  if (process.getuid?.() === 0) return '/var/lib/strideiq-agent';
  const xdg = env['XDG_STATE_HOME'];
  const base = xdg !== undefined && isAbsolute(xdg) ? xdg : join(env['HOME'] ?? homedir(), '.local', 'state');
  return join(base, 'strideiq-agent');
}

/** Secrets that others on this host could read. */
async function warningsOf(configuration: AgentConfiguration): Promise<string[]> {
  const files = [
    ...[...Object.values(configuration.databases), ...Object.values(configuration.servers)].flatMap(
      ({ connection, heartbeat }) => [
        connection.passwordFile,
        connection.urlFile,
        connection.sslkey,
        heartbeat?.urlFile,
      ],
    ),
    ...Object.values(configuration.stores).flatMap((store) =>
      store.type === 's3' ? [store.credentials?.secretAccessKeyFile, store.credentials?.sessionTokenFile] : [],
    ),
  ];
  const known = [...new Set(files.filter((each) => each !== undefined))];
  const warnings = await Promise.all(known.map(warningOf));
  return warnings.filter((each) => each !== undefined);
}

async function warningOf(file: string): Promise<string | undefined> {
  try {
    const { mode } = await stat(file);
    if ((mode & 0o077) === 0) return undefined;
    return `Others on this host can read the secret in ${file} (mode ${(mode & 0o777).toString(8)}). Say: chmod 600 ${file}`;
  } catch {
    // A file that is not there is told when its secret is needed, by resolveConnection, with its cure.
    return undefined;
  }
}
