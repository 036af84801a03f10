import { connect, endConnection, type Connection, type ConnectOptions } from '../postgres/connect.ts';
import type { Endpoint } from '../postgres/endpoint.ts';
import { within } from './within.ts';

/**
 * As `connect`, but no longer than until the signal aborts; a connection that comes later is ended.
 * @throws the signal's reason
 */
export async function connectUntil(
  signal: AbortSignal,
  endpoint: Endpoint,
  options: ConnectOptions,
): Promise<Connection> {
  const opening = connect(endpoint, options);
  try {
    return await within(opening, { signal });
  } catch (error) {
    if (signal.aborted) void opening.then(endConnection, () => undefined);
    throw error;
  }
}
