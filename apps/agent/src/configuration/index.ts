export type { ConnectionConfiguration } from './connection.ts';
export { remoteActions } from './databases.ts';
export type {
  DatabaseConfiguration,
  DrillConfiguration,
  DumpConfiguration,
  HooksConfiguration,
  RemoteAction,
  ServerConfiguration,
} from './databases.ts';
export { ConfigurationError, ConfigurationInvalid, resolveS3Credentials } from '@strideiq/configuration';
export type { ConfigurationErrorCode, Problem, ResolvedS3Credentials, S3Credentials } from '@strideiq/configuration';
export { configurationJsonSchema } from './json-schema.ts';
export { defaultStateDir, loadConfiguration } from './load.ts';
export { storesOf } from './schema.ts';
export type { AgentConfiguration } from './schema.ts';
export { SecretText } from './secret-text.ts';
export { resolveConnection } from './secrets.ts';
export type { ResolvedConnection } from './secrets.ts';
export { fillPlace, placeStore } from './stores.ts';
export type { DirectoryStoreConfiguration, PlacedStore, S3StoreConfiguration, StoreConfiguration } from './stores.ts';
export { configurationFromArguments } from './without-file.ts';
export type { BackupArguments } from './without-file.ts';
