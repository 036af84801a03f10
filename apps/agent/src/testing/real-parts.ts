import type { CommandEnvelope } from '@strideiq/protocol';
import { openS3Store, type Store } from '@strideiq/storage';
import { createSampleDatabase, startPostgres, startS3, waitFor } from '@strideiq/testkit';
import type { PostgresCluster, S3Server } from '@strideiq/testkit';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { ScriptedControlPlane } from './scripted-control-plane.ts';
import { TestAgent } from './test-agent.ts';

/** What is reported of a backup. */
export interface ReportedBackup {
  backupId: string;
  objectName: string;
  manifestSha256: string;
  rows: number;
  tables: number;
  copies: { storeId: string; key: string; state: string }[];
}

/**
 * An agent that does commands on a real server, `app`, and in real stores, told by a scripted control plane: servers for
 * all tests of the file that makes it, agent and control plane anew for each.
 */
export class RealParts {
  cluster!: PostgresCluster;
  /** The bucket of this test's agent. */
  bucket!: Store;
  controlPlane!: ScriptedControlPlane;
  agent!: TestAgent;
  #s3!: S3Server;

  constructor() {
    beforeAll(async () => {
      [this.cluster, this.#s3] = await Promise.all([startPostgres(), startS3()]);
      const making = createSampleDatabase(this.cluster, 'app', { scaleMb: 2 });
      await Promise.all([making, this.#s3.createBucket('copies')]);
    }, 240_000);
    afterAll(async () => {
      await Promise.all([this.cluster?.stop(), this.#s3?.stop()]);
    });
    beforeEach(async (context) => {
      const prefix = `${context.task.id}/`;
      const { endpoint, accessKey: accessKeyId, secretKey: secretAccessKey } = this.#s3;
      const credentials = { accessKeyId, secretAccessKey };
      this.bucket = await openS3Store({ bucket: 'copies', prefix, endpoint, credentials });
      this.controlPlane = new ScriptedControlPlane();
      await this.controlPlane.start();
      this.agent = this.#makeAgent(prefix);
    });
    afterEach(async () => {
      await this.agent.remove();
      await this.controlPlane.stop();
      this.bucket.close();
    });
  }

  /** From here on a second host of the same server: no journal, no key and no store that has to do with the first. */
  async moveElsewhere({ trustBackups = true } = {}): Promise<void> {
    await this.agent.remove();
    await this.controlPlane.stop();
    this.controlPlane = new ScriptedControlPlane();
    await this.controlPlane.start();
    this.agent = this.#makeAgent('elsewhere/', trustBackups);
    await this.agent.start();
  }

  #makeAgent(prefix: string, trustBackups?: boolean): TestAgent {
    const { host, port, user, password, clientDir } = this.cluster;
    const { endpoint, region, accessKey, secretKey } = this.#s3;
    const own = password === undefined ? {} : { passwordFile: 'pg.pass' };
    const made = new TestAgent({
      controlPlane: this.controlPlane,
      ...(trustBackups === undefined ? {} : { trustBackups }),
      databases: {
        app: {
          connection: { host, port, user, database: 'app', ...own },
          stores: ['local', 's3'],
          dump: { pgDump: clientDir },
        },
      },
      stores: {
        s3: {
          type: 's3',
          bucket: 'copies',
          prefix,
          endpoint,
          region,
          credentials: { accessKeyIdFile: 'key', secretAccessKeyFile: 'secret' },
        },
        spare: { type: 'directory', path: 'spare' },
      },
    });
    for (const [name, secret] of Object.entries({ 'pg.pass': password ?? '', key: accessKey, secret: secretKey })) {
      writeFileSync(join(made.directory, name), secret, { mode: 0o600 });
    }
    return made;
  }

  /** Names of the server's databases. */
  async databases(): Promise<string[]> {
    const sql = 'SELECT datname FROM pg_database ORDER BY 1';
    const rows = await this.cluster.query<{ datname: string }>('postgres', sql);
    return rows.map(({ datname }) => datname);
  }

  async ended({ commandId }: CommandEnvelope) {
    return waitFor('the end of the command', () => this.controlPlane.endOf(commandId), { timeoutMs: 90_000 });
  }

  runOf({ runId = '' }: CommandEnvelope) {
    return this.controlPlane.run(runId);
  }

  /** Sends a command and waits for its end. */
  async doIt(command: CommandEnvelope) {
    this.controlPlane.send(command);
    return this.ended(command);
  }

  /** Takes a backup by command, and tells what was reported of it. */
  async backedUp(more: object = {}): Promise<ReportedBackup> {
    const command = this.agent.command('backup', more);
    const { state } = await this.doIt(command);
    const run = this.runOf(command);
    if (state !== 'done' || run?.['state'] !== 'succeeded') throw new Error(`the backup is ${JSON.stringify(run)}`);
    return (run as unknown as { backup: ReportedBackup }).backup;
  }
}
