import type { Host } from '../compose.ts';
import type { DatabaseConfiguration } from '../configuration/index.ts';
import { describeServer } from '../postgres/endpoint.ts';
import type { DrillRequest } from './run-drill.ts';

/** Whose a drill is, and on whose server. */
export interface DrillPlace {
  /** The one that the run is of. */
  database: DatabaseConfiguration;
  /** The one whose backup it is, which says what is asked of it; undefined where another host looks after that one. */
  own: DatabaseConfiguration | undefined;
  /** On the server of this one. */
  on: DatabaseConfiguration;
}

/** A drill as it is asked for by a command line, a schedule or a control plane. */
export async function drillRequest(
  host: Host,
  { database, own, on }: DrillPlace,
  asked: Pick<DrillRequest, 'source' | 'reference' | 'trustSource' | 'trust' | 'asked' | 'jobs' | 'toastCompression'>,
): Promise<DrillRequest> {
  const maintenance = await host.maintenanceOf(on);
  return {
    ...asked,
    environment: host.configuration.environment,
    database: database.name,
    databaseId: host.databaseIdOf(database),
    maintenance,
    elsewhere: own === undefined || describeServer(await host.maintenanceOf(own)) !== describeServer(maintenance),
    drill: (own ?? database).drill,
    random: Math.random,
  };
}
