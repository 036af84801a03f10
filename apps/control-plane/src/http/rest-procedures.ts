import type { ApiMeta, Rest } from '../api/guarded.ts';
import { apiRouter } from '../api/router.ts';

export const restPath = '/api/v1';

/** What is no procedure: a stream. */
export const runEventsPath = '/runs/{runId}/events';

/** A procedure with its place in the REST face. */
export interface RestProcedure {
  /** `backups.create` */
  name: string;
  meta: ApiMeta;
  rest: Rest;
}

/** Every procedure that has a REST face, in the router's order. */
export function restProcedures(): RestProcedure[] {
  return procedures().flatMap(([name, meta]) => (meta.rest === undefined ? [] : [{ name, meta, rest: meta.rest }]));
}

/** By its full name, as tRPC keeps them; its types show the routers instead. */
function procedures(): [name: string, meta: ApiMeta][] {
  const all = apiRouter._def.procedures as unknown as Record<string, { _def: { meta: ApiMeta } }>;
  return Object.entries(all).map(([name, procedure]) => [name, procedure._def.meta]);
}
