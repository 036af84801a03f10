import type { ResolvedConnection } from '../configuration/index.ts';

/** Everything needed to reach one database, secrets resolved: held in memory, never written or printed. */
export interface Endpoint extends ResolvedConnection {
  /** Command in front of every PostgreSQL tool, where only that reaches the server: `docker compose exec -T postgres`. */
  exec: readonly string[];
  /** Command whose standard streams are a connection to the server, in place of the one made from `exec`. */
  execConnect: readonly string[];
  /** Where programs are looked for, as the variable PATH. */
  path?: string | undefined;
  /** Databases to go to, in this order, where there is no `database`. */
  otherDatabases?: readonly string[];
}

/** The same server, another database. */
export function withDatabase(endpoint: Endpoint, database: string): Endpoint {
  return { ...endpoint, database, otherDatabases: [] };
}

/**
 * A database from which others are made, renamed and dropped: `postgres` by custom, and where somebody dropped that,
 * template1. From a database itself it cannot be renamed, so that the one that the endpoint names comes last.
 */
export function maintenanceOf(endpoint: Endpoint): Endpoint {
  if (endpoint.database === 'postgres') return { ...endpoint, database: 'template1', otherDatabases: ['postgres'] };
  return { ...endpoint, database: 'postgres', otherDatabases: ['template1', endpoint.database] };
}

/** The server alone, whoever connects to which of its databases. */
export function describeServer({ host, port, exec }: Endpoint): string {
  return [...exec, `${host}:${port}`].join(' ');
}

/** For people and logs: no password. */
export function describeEndpoint(endpoint: Endpoint): string {
  const through = endpoint.exec.length > 0 ? ` through \`${endpoint.exec.join(' ')}\`` : '';
  return `${endpoint.user}@${endpoint.host}:${endpoint.port}/${endpoint.database}${through}`;
}
