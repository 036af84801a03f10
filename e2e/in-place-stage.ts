import { startPostgres, type PostgresCluster } from '@strideiq/testkit';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { AgentHost, type HostOptions } from './agent-host.ts';
import { databasesOf } from './raw-state.ts';

/** What a restore in place says of itself. */
export interface Replaced {
  runId: string;
  keptAs: string;
  safetyBackupId: string;
  notes: string[];
}

export const inPlace = ['restore', 'latest', '--in-place', '--yes'] as const;

/** A live database that is to be replaced, made anew for each test of a file, and the hosts that replace it. */
export class InPlaceStage {
  #cluster: PostgresCluster | undefined;
  readonly #hosts: AgentHost[] = [];

  constructor() {
    beforeAll(async () => {
      this.#cluster = await startPostgres({ settings: { max_prepared_transactions: '5', wal_level: 'logical' } });
      await this.cluster.query('postgres', 'CREATE ROLE strideiq_app LOGIN; CREATE ROLE strideiq_readonly LOGIN');
    });
    afterAll(async () => {
      await this.#cluster?.stop();
    });
    beforeEach(async () => this.#makeDatabase());
    afterEach(async () => {
      for (const host of this.#hosts.splice(0)) host.remove();
      for (const name of await databasesOf(this.cluster)) {
        if (/^(app|restored|strideiq_)/.test(name)) await this.cluster.dropDatabase(name);
      }
    });
  }

  get cluster(): PostgresCluster {
    if (!this.#cluster) throw new Error('the cluster has not been started');
    return this.#cluster;
  }

  async #makeDatabase(): Promise<void> {
    await this.cluster.createDatabase('app');
    await this.cluster.query(
      'app',
      `CREATE SCHEMA app AUTHORIZATION strideiq_app;
       CREATE TABLE app.generation AS SELECT 1 AS n;
       CREATE TABLE app.ledger AS SELECT n AS id, md5(n::text) AS note FROM generate_series(1, 1000) AS n;
       CREATE TABLE app.writes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text);
       CREATE VIEW app.notes AS SELECT note FROM app.ledger;
       CREATE TABLE app.goes (id int);
       ALTER TABLE app.generation OWNER TO strideiq_app; ALTER TABLE app.ledger OWNER TO strideiq_app;
       ALTER TABLE app.writes OWNER TO strideiq_app; ALTER TABLE app.goes OWNER TO strideiq_app;
       GRANT USAGE ON SCHEMA app TO strideiq_readonly; GRANT SELECT ON app.ledger, app.generation TO strideiq_readonly`,
    );
  }

  hostOf(options: Partial<HostOptions> = {}): AgentHost {
    const host = new AgentHost({ cluster: this.cluster, database: 'app', ...options });
    this.#hosts.push(host);
    return host;
  }

  /** What the backup does not hold any more. */
  async moveOn(): Promise<void> {
    await this.cluster.query(
      'app',
      `UPDATE app.generation SET n = 2;
       INSERT INTO app.ledger SELECT n, md5(n::text) FROM generate_series(1001, 1500) AS n;
       DROP TABLE app.goes`,
    );
  }

  async generationOf(database: string): Promise<number | undefined> {
    const [row] = await this.cluster.query<{ n: number }>(database, 'SELECT n FROM app.generation');
    return row?.n;
  }

  /** Databases that have lost their name. */
  async kept(): Promise<string[]> {
    return (await databasesOf(this.cluster)).filter((name) => /^app_(before|undone)_\d{8}_\d{6}$/.test(name));
  }
}
