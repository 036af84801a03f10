import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AgentConnections } from '../agents/agent-connections.ts';
import { AgentGateway } from '../agents/agent-gateway.ts';
import { openCatalog, type Catalog } from '../catalog/open-catalog.ts';
import type { OpenOwnStore } from '../copies/own-stores.ts';
import { PresignRequests } from '../copies/presign-requests.ts';
import { SourceUrls } from '../copies/source-urls.ts';
import { Enrolment } from '../enrolment/enrolment.ts';
import type { Log } from '../log.ts';
import { LiveRuns } from '../runs/live-runs.ts';
import { Sweeper } from '../runs/sweeper.ts';
import { WorkRequests } from '../runs/work-requests.ts';

export interface TestGatewayOptions {
  /** Kept at the end where it is given. */
  dataDir?: string;
  openOwnStore?: OpenOwnStore;
  /** Where its clock stands at first. */
  startAt?: number;
}

/** What a moment is that no test means anything by. */
export const someMoment = Date.parse('2026-11-24T08:00:00Z');

/** The part of the control plane that faces agents, on a server of its own. Its clock moves by hand. */
export async function startGateway(options: TestGatewayOptions = {}) {
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), 'strideiq-gateway-'));
  const catalog: Catalog = openCatalog(dataDir);
  const clock = { now: options.startAt ?? someMoment };
  const now = () => clock.now;
  const said: { level: string; fields: Record<string, unknown>; text: string }[] = [];
  const say = (level: string) => (fields: object, text: string) =>
    void said.push({ level, fields: fields as Record<string, unknown>, text });
  const log: Log = { info: say('info'), warn: say('warn'), error: say('error') };
  const openOwnStore = options.openOwnStore ?? (async () => await Promise.resolve(undefined));
  const connections = new AgentConnections({ catalog, now });
  const base = { catalog, now, connections, liveRuns: new LiveRuns(), openOwnStore, log };
  const parts = { ...base, presigns: new PresignRequests(base) };
  const sourceUrls = new SourceUrls(parts);
  const gateway = new AgentGateway({ ...parts, sourceUrls });
  const server = createServer((_, response) => response.end('the rest of the control plane'));
  gateway.attach(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    ...parts,
    sourceUrls,
    gateway,
    clock,
    said,
    dataDir,
    enrolment: new Enrolment(parts),
    work: new WorkRequests(parts),
    sweeper: new Sweeper(parts),
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async stop(): Promise<void> {
      await gateway.close();
      await new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      });
      catalog.$client.close();
      if (options.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

export type TestGateway = Awaited<ReturnType<typeof startGateway>>;
