import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ControlPlane } from '../compose.ts';
import type { Role } from '../catalog/schema.ts';
import type { ControlPlaneConfiguration } from '../configuration/index.ts';
import { someMoment } from './gateway.ts';
import { TestHost } from './host.ts';

export interface TestRequest {
  /** Default: the first admin's. Null: none. */
  key?: string | null;
  body?: unknown;
  headers?: Record<string, string>;
}

/** The whole control plane on a port of its own, as `serve` starts it. Its clock moves by hand. */
export async function startControlPlane(given: Partial<ControlPlaneConfiguration> = {}) {
  const dataDir = given.dataDir ?? mkdtempSync(join(tmpdir(), 'strideiq-control-plane-'));
  const clock = { now: someMoment };
  const now = () => clock.now;
  const log: string[] = [];
  const configuration: ControlPlaneConfiguration = {
    listen: { host: '127.0.0.1', port: 0 },
    dataDir,
    trustedProxies: [],
    logLevel: 'debug',
    rateLimit: { perKey: 100_000, perAddress: 100_000 },
    stores: [],
    channels: {},
    allowPlainText: false,
    ...given,
  };
  const logDestination = { write: (line: string) => log.push(line) };
  const controlPlane = await ControlPlane.open(configuration, { env: {}, now, logDestination });
  const url = await controlPlane.listen();
  const { app, parts } = controlPlane;
  const adminKey = readFileSync(join(dataDir, 'admin.key'), 'utf8').trim();
  return {
    ...parts,
    controlPlane,
    app,
    parts,
    clock,
    url,
    dataDir,
    adminKey,
    /** Lines of the log. */
    log,

    keyFor(role: Role, environments: string[] | null, expiresAt: number | null = null): string {
      return parts.keys.create(
        { name: `${role} of ${environments?.join() ?? 'all'}`, role, environments, expiresAt },
        'local',
      ).key;
    },

    /** One request to the REST face. */
    async rest(method: 'GET' | 'POST' | 'DELETE', path: string, { key = adminKey, body, headers }: TestRequest = {}) {
      const answer = await app.inject({
        method,
        url: `/api/v1${path}`,
        headers: { ...(key === null ? {} : { authorization: `Bearer ${key}` }), ...headers },
        ...(body === undefined ? {} : { payload: body as object }),
      });
      const json = (answer.headers['content-type']?.toString() ?? '').includes('json');
      return {
        status: answer.statusCode,
        headers: answer.headers,
        text: answer.body,
        body: (json ? JSON.parse(answer.body) : {}) as Record<string, unknown>,
      };
    },

    /** A host that has enrolled, with one database. */
    host(environment: string, hostname: string, database = 'running_app'): TestHost {
      return new TestHost({ now, url, enrolment: parts.enrolment }, environment, hostname).enrol().looksAfter(database);
    },

    async stop(): Promise<void> {
      await controlPlane.close();
      if (given.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

export type TestControlPlane = Awaited<ReturnType<typeof startControlPlane>>;
