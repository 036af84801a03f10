import {
  ConfigurationInvalid,
  jsonSchemaOf,
  parseFile,
  readConfigurationFile,
  s3SecretKeys,
  type FileForm,
  type JsonSchema,
} from '@strideiq/configuration';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import type { z } from 'zod';
import type { ChannelConfiguration } from '../channels/schema.ts';
import { problemsTogether, type Said } from './cross-checks.ts';
import { readEnvironment, variableOf } from './environment.ts';
import { controlPlaneFileSchema, type ControlPlaneConfiguration, type OwnStoreConfiguration } from './schema.ts';

type File = z.output<typeof controlPlaneFileSchema>;

/** JSON Schema (draft 2020-12) of the control plane's file, for editors: `strideiq-control-plane config schema`. */
export function configurationJsonSchema(): JsonSchema {
  return jsonSchemaOf(controlPlaneFileSchema, 'strideiq-control-plane configuration');
}

/**
 * What the control plane was told by its file, where there is one, and by its environment, which has the last word.
 * Relative paths in the file go from the file's own directory, in the environment from the working directory.
 * @throws ConfigurationError `ConfigurationMissing`, `ConfigurationUnreadable`
 * @throws ConfigurationInvalid with every problem of the file, or else of the environment
 */
export async function loadConfiguration(
  file: string | undefined,
  env: NodeJS.ProcessEnv,
): Promise<ControlPlaneConfiguration> {
  const given = readEnvironment(env);
  const read = file === undefined ? leastFile : await readFileOf(file, given);
  const problems = problemsTogether({ ...textsOf(read), ...given }).filter(({ key }) => given[key] !== undefined);
  if (problems.length > 0) {
    throw new ConfigurationInvalid(
      'The environment',
      problems.map(({ key, ...rest }) => ({ key: variableOf[key], ...rest })),
    );
  }
  return resolved({ ...read, ...given }, env);
}

const leastFile: File = controlPlaneFileSchema.parse({ version: 1 });

async function readFileOf(file: string, given: ReturnType<typeof readEnvironment>): Promise<File> {
  const form: FileForm = {
    schema: controlPlaneFileSchema,
    jsonSchema: configurationJsonSchema(),
    secretKeys: s3SecretKeys,
  };
  const text = await readConfigurationFile(
    file,
    'Name one that is there by --config FILE, or use STRIDEIQ_… variables.',
  );
  const read = parseFile(text, file, form, (document) =>
    // What the environment says is told under its own name.
    problemsTogether({ ...(document as Said), ...given })
      .filter(({ key }) => given[key] === undefined)
      .map(({ key, what, cure }) => ({ path: [key], what, cure })),
  ) as File;
  return pathsFrom(dirname(resolve(file)), read);
}

function textsOf({ tlsCert, tlsKey, allowPlainText, listen }: File): Said {
  return { tlsCert, tlsKey, allowPlainText, listen };
}

function resolved(said: File, env: NodeJS.ProcessEnv): ControlPlaneConfiguration {
  const { tlsCert, tlsKey } = said;
  return {
    listen: said.listen ?? { host: '127.0.0.1', port: 8080 },
    dataDir: resolve(said.dataDir ?? defaultDataDir(env)),
    ...(tlsCert === undefined || tlsKey === undefined
      ? {}
      : { tls: { certFile: resolve(tlsCert), keyFile: resolve(tlsKey) } }),
    trustedProxies: said.trustedProxies ?? [],
    logLevel: said.logLevel ?? 'info',
    rateLimit: said.rateLimit,
    stores: said.stores,
    channels: said.channels,
    ...(said.heartbeat === undefined ? {} : { heartbeat: said.heartbeat }),
    ...(said.publicUrl === undefined ? {} : { publicUrl: said.publicUrl }),
    allowPlainText: said.allowPlainText ?? false,
  };
}

function pathsFrom(from: string, file: File): File {
  const paths = (['dataDir', 'tlsCert', 'tlsKey'] as const).flatMap((key) =>
    file[key] === undefined ? [] : [[key, resolve(from, file[key])]],
  );
  return {
    ...file,
    ...Object.fromEntries(paths),
    ...(file.heartbeat === undefined ? {} : { heartbeat: filesFrom(from, file.heartbeat) }),
    stores: file.stores.map((store) => storeFrom(from, store)),
    channels: Object.fromEntries(Object.entries(file.channels).map(([name, said]) => [name, channelFrom(from, said)])),
  };
}

function storeFrom(from: string, store: OwnStoreConfiguration): OwnStoreConfiguration {
  return store.credentials === undefined ? store : { ...store, credentials: filesFrom(from, store.credentials) };
}

function channelFrom(from: string, said: ChannelConfiguration): ChannelConfiguration {
  const channel = filesFrom(from, said);
  return channel.type === 'email' ? { ...channel, smtp: filesFrom(from, channel.smtp) } : channel;
}

/** Every key that names a file is called so. */
function filesFrom<Keys extends object>(from: string, keys: Keys): Keys {
  const files = Object.entries(keys).flatMap(([key, value]) =>
    key.endsWith('File') && typeof value === 'string' ? [[key, resolve(from, value)]] : [],
  );
  return { ...keys, ...Object.fromEntries(files) };
}

/** The system's place for root, else the user's own (XDG). */
function defaultDataDir(env: NodeJS.ProcessEnv): string {
  if (process.getuid?.() === 0) return '/var/lib/strideiq-control-plane';
  const xdg = env['XDG_STATE_HOME'];
  const base = xdg !== undefined && isAbsolute(xdg) ? xdg : join(env['HOME'] ?? homedir(), '.local', 'state');
  return join(base, 'strideiq-control-plane');
}
