export { configurationJsonSchema, loadConfiguration } from './load.ts';
export type { ControlPlaneConfiguration, OwnStoreConfiguration } from './schema.ts';
