export type { ConnectionConfiguration } from './connection.ts';
export { remoteActions } from './databases.ts';
export type {
  DatabaseConfiguration,
  DumpConfiguration,
  HooksConfiguration,
  RemoteAction,
  RetentionConfiguration,
} from './databases.ts';
export { ConfigurationError, ConfigurationInvalid } from './errors.ts';
export type { ConfigurationErrorCode, Problem } from './errors.ts';
export { configurationJsonSchema } from './json-schema.ts';
export { defaultStateDir, loadConfiguration } from './load.ts';
export { storesOf } from './schema.ts';
export type { AgentConfiguration } from './schema.ts';
export { SecretText } from './secret-text.ts';
export { resolveConnection, resolveS3Credentials } from './secrets.ts';
export type { ResolvedConnection, ResolvedS3Credentials } from './secrets.ts';
export type {
  DirectoryStoreConfiguration,
  PlacedStore,
  S3Credentials,
  S3StoreConfiguration,
  StoreConfiguration,
} from './stores.ts';
export { configurationFromArguments } from './without-file.ts';
export type { BackupArguments } from './without-file.ts';
