import { createSampleDatabase, startPostgres, type PostgresCluster } from '@strideiq/testkit';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { AgentHost, type HostOptions } from './agent-host.ts';
import { databasesOf } from './raw-state.ts';

/** Of an old script's dump, into a new database. */
export const restoring = (file: string): string[] => [
  'restore',
  file,
  '--into',
  'restored',
  '--trust-source',
  '--database',
  'app',
];

/** Roles and databases of restores. */
export async function leftOf(server: PostgresCluster): Promise<string[]> {
  const rows = await server.query<{ name: string }>(
    'postgres',
    "SELECT rolname AS name FROM pg_roles WHERE rolname ~ '^strideiq_(untrusted|restore)_' UNION ALL SELECT datname FROM pg_database WHERE datname ~ '^strideiq_'",
  );
  return rows.map(({ name }) => name);
}

/** An old script's dump of these statements, with pg_dump's first and last lines. */
export function putDump(host: AgentHost, sql: string): string {
  const file = join(host.directory, 'old.sql');
  writeFileSync(
    file,
    `--\n-- PostgreSQL database dump\n--\n\n${sql}\n--\n-- PostgreSQL database dump complete\n--\n\n`,
  );
  return file;
}

/**
 * A server whose database `app` belongs to many, and the hosts that restore into it what nobody vouches for. What a test has
 * restored is dropped after it, and a restore that left anything of its own fails it.
 */
export class TrustStage {
  #cluster: PostgresCluster | undefined;
  readonly #hosts: AgentHost[] = [];

  constructor() {
    beforeAll(async () => {
      this.#cluster = await startPostgres({ authentication: 'scram', settings: { log_statement: 'all' } });
      await createSampleDatabase(this.cluster, 'app', { scaleMb: 1 });
      await this.cluster.query(
        'app',
        `CREATE ROLE keeper; CREATE ROLE tenant IN ROLE keeper; ALTER TABLE app.athletes OWNER TO strideiq_app;
         ALTER SCHEMA "Admin Area" OWNER TO "Coach ""Role"""; ALTER FUNCTION app.pace OWNER TO keeper; ALTER TABLE app.teams OWNER TO tenant;
         REVOKE ALL ON app.teams FROM tenant; GRANT SELECT ON app.teams TO tenant;
         ALTER DEFAULT PRIVILEGES FOR ROLE keeper GRANT SELECT ON TABLES TO strideiq_readonly;
         ALTER DEFAULT PRIVILEGES FOR ROLE keeper REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
         GRANT SELECT ON LARGE OBJECT 800001 TO strideiq_readonly; ALTER LARGE OBJECT 800001 OWNER TO strideiq_app`,
      );
    }, 240_000);
    afterAll(async () => {
      await this.#cluster?.stop();
    });
    afterEach(async () => this.#clear());
  }

  get cluster(): PostgresCluster {
    if (!this.#cluster) throw new Error('the cluster has not been started');
    return this.#cluster;
  }

  hostOf(options: Partial<HostOptions> = {}): AgentHost {
    const host = new AgentHost({ cluster: this.cluster, database: 'app', ...options });
    this.#hosts.push(host);
    return host;
  }

  async #clear(): Promise<void> {
    for (const host of this.#hosts.splice(0)) host.remove();
    for (const name of await databasesOf(this.cluster)) {
      if (/^(restored|evil|plain)/.test(name)) await this.cluster.dropDatabase(name);
    }
    const left = await leftOf(this.cluster);
    if (left.length > 0) throw new Error(`a restore left ${left.join(', ')}`);
  }
}
