import { createHash } from 'node:crypto';
import { userInfo } from 'node:os';
import { resolve } from 'node:path';
import { ConfigurationInvalid, readSecretFile, type Problem } from '@strideiq/configuration';
import { safeName } from '@strideiq/core';
import type { ConnectionConfiguration } from './connection.ts';
import { databaseSchema } from './databases.ts';
import { defaultStateDir } from './load.ts';
import { postgresUrlCure, readPostgresUrl, type PostgresUrl } from './postgres-url.ts';
import type { AgentConfiguration } from './schema.ts';
import { SecretText } from './secret-text.ts';
import { storeSchema, type StoreConfiguration } from './stores.ts';

/** What the command line says in place of a file. */
export interface BackupArguments {
  /** `--database-url`; left out together with the file: PG* variables. */
  databaseUrl?: string | undefined;
  /** `--database-url-file`: keeps a password out of the process list. */
  databaseUrlFile?: string | undefined;
  /** `--backup-dir` */
  backupDir?: string | undefined;
  /** `--s3`: `bucket`, `bucket/prefix` or `s3://bucket/prefix`. Without a prefix: `backups/<database>/`. */
  s3?: string | undefined;
  /** Default: `default`. */
  environment?: string | undefined;
  stateDir?: string | undefined;
  /** False where a path or URL names the backup: then no store need be named. Default: true. */
  placeNeeded?: boolean;
}

const source = 'The command line';

/**
 * The configuration of a host that has no file: one database, a directory or a bucket or both.
 * @param env PG* and AWS_* variables, as psql and the AWS tools know them
 * @throws ConfigurationInvalid with every argument that is wrong
 * @throws ConfigurationError `SecretUnavailable` where the URL's file cannot be read
 */
export async function configurationFromArguments(
  args: BackupArguments,
  env: NodeJS.ProcessEnv,
): Promise<AgentConfiguration> {
  const problems: Problem[] = [];
  const warnings: string[] = [];
  const url = await urlFrom(args, problems);
  if (args.databaseUrl !== undefined && url?.password !== undefined) warnings.push(visiblePassword);
  const database = nameFor(url?.database ?? env['PGDATABASE'] ?? url?.user ?? env['PGUSER'] ?? userInfo().username);
  const environment = args.environment ?? 'default';
  if (!safeName.test(environment)) {
    problems.push({
      key: '--environment',
      what: `is no name: ${JSON.stringify(environment)}`,
      cure: 'Use letters, digits, dot, dash and underscore.',
    });
  }
  const stores = storesFrom(args, env, problems);
  if (Object.keys(stores).length === 0 && problems.length === 0 && args.placeNeeded !== false) {
    problems.push({
      key: '',
      what: 'names no place for the backup',
      cure: 'Add --backup-dir DIR, --s3 BUCKET or both, or --config FILE.',
    });
  }
  if (problems.length > 0) throw new ConfigurationInvalid(source, problems);
  return {
    environment,
    stateDir: args.stateDir === undefined ? defaultStateDir(env) : resolve(args.stateDir),
    minimumLocalCopies: 1,
    runsAtOnce: 2,
    stores,
    databases: {
      [database]: {
        ...databaseSchema.parse({ stores: ['a file that is named at each use'] }),
        stores: Object.keys(stores),
        name: database,
        connection: connectionFrom(args, url),
      },
    },
    servers: {},
    warnings,
  };
}

const visiblePassword =
  'The password in --database-url can be seen by every user of this host in the process list. ' +
  'Leave it out of the URL and set PGPASSWORD, or put the URL into a file and name it by --database-url-file.';

async function urlFrom(args: BackupArguments, problems: Problem[]): Promise<PostgresUrl | undefined> {
  const { databaseUrl, databaseUrlFile } = args;
  if (databaseUrl !== undefined && databaseUrlFile !== undefined) {
    problems.push({ key: '--database-url-file', what: 'stands beside --database-url', cure: 'Keep one of the two.' });
  }
  const text =
    databaseUrl ??
    (databaseUrlFile === undefined ? undefined : await readSecretFile(databaseUrlFile, "the database's URL"));
  if (text === undefined) return undefined;
  const key = databaseUrl === undefined ? '--database-url-file' : '--database-url';
  const url = readPostgresUrl(text);
  // Never with the text: it may hold a password.
  if (url === undefined) problems.push({ key, what: 'is no URL of a PostgreSQL database', cure: postgresUrlCure });
  else if (url.unknown.length > 0) {
    problems.push({ key, what: `holds what is not known here: ${url.unknown.join(', ')}`, cure: 'Leave it out.' });
  }
  return url;
}

function connectionFrom(args: BackupArguments, url: PostgresUrl | undefined): ConnectionConfiguration {
  if (args.databaseUrlFile !== undefined) return { urlFile: resolve(args.databaseUrlFile) };
  if (url === undefined) return {};
  return {
    url: url.withoutPassword,
    ...(url.password === undefined ? {} : { password: new SecretText(url.password) }),
  };
}

function storesFrom(
  args: BackupArguments,
  env: NodeJS.ProcessEnv,
  problems: Problem[],
): Record<string, StoreConfiguration> {
  const stores: Record<string, StoreConfiguration> = {};
  if (args.backupDir === '') problems.push({ key: '--backup-dir', what: 'is empty', cure: 'Name a directory.' });
  else if (args.backupDir !== undefined) stores['local'] = { type: 'directory', path: resolve(args.backupDir) };
  if (args.s3 === undefined) return stores;
  const [, bucket = '', prefix = ''] = /^(?:s3:\/\/)?([^/]*)(?:\/(.*))?$/.exec(args.s3) ?? [];
  const parsed = storeSchema.safeParse({
    type: 's3',
    bucket,
    prefix: prefix === '' ? 'backups/{database}/' : prefix,
    region: env['AWS_REGION'] ?? env['AWS_DEFAULT_REGION'],
    endpoint: env['AWS_ENDPOINT_URL_S3'] ?? env['AWS_ENDPOINT_URL'],
  });
  if (parsed.success) stores['s3'] = parsed.data;
  for (const issue of parsed.error?.issues ?? []) {
    const key = issue.path[0] === 'endpoint' ? 'AWS_ENDPOINT_URL' : '--s3';
    problems.push({ key, what: issue.message, cure: key === '--s3' ? 'Write BUCKET or s3://BUCKET/PREFIX.' : '' });
  }
  return stores;
}

/**
 * A safe name for a database that may be called anything on its server. A name that had to be changed gets a few
 * letters of its hash, so that `a b` and `a_b` stay apart.
 */
function nameFor(database: string): string {
  if (safeName.test(database)) return database;
  const hash = createHash('sha256').update(database).digest('hex').slice(0, 6);
  const plain = database
    .replaceAll(/[^A-Za-z0-9._-]/g, '_')
    .replace(/^[._-]+/, '')
    .slice(0, 90);
  return `${plain === '' ? 'database' : plain}-${hash}`;
}
