import { answered, connect, endConnection } from '../postgres/connect.ts';
import type { Endpoint } from '../postgres/endpoint.ts';

/** A database as its server tells of it. */
export interface DatabaseOnServer {
  name: string;
  /** Others are made from it; nobody's data are in it. */
  isTemplate: boolean;
  allowsConnections: boolean;
  /** A DROP DATABASE was interrupted: nobody can connect to what is left (PostgreSQL docs, `datconnlimit` of -2). */
  isHalfDropped: boolean;
}

/** A server that does not answer must not hold up a command for long. */
const answerLimitMs = 10_000;

/**
 * All databases of a server, by their names.
 * @param endpoint with the database that is asked; `postgres` or template1 is where it is not there
 * @throws AgentError as `connect`, `ConnectionLost`
 */
export async function askServer(endpoint: Endpoint): Promise<DatabaseOnServer[]> {
  const otherDatabases = ['postgres', 'template1'].filter((name) => name !== endpoint.database);
  const connection = await connect(
    { ...endpoint, otherDatabases },
    { applicationName: 'strideiq-discovery', timeoutMs: answerLimitMs },
  );
  try {
    const asked = connection.query<DatabaseOnServer>(
      `SELECT datname::text AS name, datistemplate AS "isTemplate", datallowconn AS "allowsConnections",
              datconnlimit = -2 AS "isHalfDropped"
         FROM pg_catalog.pg_database ORDER BY datname`,
    );
    return (await answered(connection, asked, answerLimitMs)).rows;
  } finally {
    await endConnection(connection);
  }
}
