import { nameSchema, textSchema } from '@strideiq/configuration';
import { z } from 'zod';
import { databasesSchema, type DatabaseConfiguration, type ServerConfiguration } from './databases.ts';
import { placeStore, storeSchema, type PlacedStore, type StoreConfiguration } from './stores.ts';

/**
 * The host's file, `agent.yaml` (contract.md, "On the database host"), key by key. What several keys have to say
 * together is in `cross-checks.ts`, so that it is told along with what is wrong here.
 */
export const agentFileSchema = z.strictObject({
  version: z
    .literal(1, { error: 'must be 1, the version of this file’s form' })
    .describe("Version of this file's form: 1."),
  controlPlane: z
    .strictObject({
      url: z
        .url({ protocol: /^https?$/, error: 'must be a URL that begins with https://' })
        .describe('Address of the control plane.'),
      allowPlainText: z
        .boolean()
        .default(false)
        .describe('Whether http:// is allowed to other hosts than this one, where anyone on the way can read along.'),
      trustBackups: z
        .boolean()
        .default(false)
        .describe(
          'Whether the SQL of backups that other hosts made may run here with superuser rights when the control plane vouches for them. A role that is no superuser restores them in any case.',
        ),
    })
    .optional()
    .describe('The control plane that this host reports to. Left out: the host goes alone.'),
  environment: nameSchema.describe(
    'The StrideIQ deployment that this host belongs to: production, staging, eu-production.',
  ),
  stateDir: textSchema
    .optional()
    .describe(
      'Where the agent keeps its journal and key. Left out: /var/lib/strideiq-agent for root, else ~/.local/state/strideiq-agent.',
    ),
  minimumLocalCopies: z
    .int()
    .min(1)
    .default(1)
    .describe('Newest copies that stay in every directory store, whatever a policy says.'),
  runsAtOnce: z.int().min(1).max(64).default(2).describe('Runs of `run` at a time, each on a database of its own.'),
  stores: z.record(nameSchema, storeSchema).describe('Where backups are kept, by a name of your own.'),
  databases: databasesSchema.describe(
    'The databases that this host looks after; the name is part of every backup’s name. An entry may also stand for all databases of a server: include.',
  ),
});

/** What the agent was told, checked, with every default in its place. */
export interface AgentConfiguration {
  /** The file it was read from; undefined when made from arguments. */
  file?: string;
  controlPlane?: { url: string; allowPlainText: boolean; trustBackups: boolean } | undefined;
  environment: string;
  stateDir: string;
  minimumLocalCopies: number;
  runsAtOnce: number;
  stores: Record<string, StoreConfiguration>;
  databases: Record<string, DatabaseConfiguration>;
  /** Whose databases are found by themselves; those that were are in `databases`. */
  servers: Record<string, ServerConfiguration>;
  /** What is allowed but should be seen to, each a whole paragraph. */
  warnings: readonly string[];
}

/** The stores of one database, in the file's order, with their places as this database uses them. */
export function storesOf(configuration: AgentConfiguration, database: DatabaseConfiguration): PlacedStore[] {
  return database.stores.flatMap((name) => {
    const store = configuration.stores[name];
    return store === undefined ? [] : [placeStore(name, store, configuration.environment, database.name)];
  });
}
