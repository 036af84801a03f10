import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { fingerprint, startPostgres, waitFor, type PostgresCluster } from '@strideiq/testkit';
import { AgentHost } from './agent-host.ts';
import { PgDumpWrapper } from './pg-dump-wrapper.ts';

interface BackupDocument {
  tables: number;
  rows: number;
}

let cluster: PostgresCluster;
beforeAll(async () => {
  cluster = await startPostgres();
  await cluster.createDatabase('few');
  await cluster.query('few', made);
  await cluster.createDatabase('many', { template: 'few' });
  // More tables than the agent locks by itself, so that the last ones, the smallest, are guarded by comparison alone.
  await cluster.query(
    'many',
    `DO $$ BEGIN
       FOR n IN 1 .. 2000 LOOP EXECUTE format('CREATE TABLE filler_%s ()', n); END LOOP;
     END $$;
     UPDATE pg_class SET relpages = 1 WHERE relname LIKE 'filler%'`,
  );
});
afterAll(async () => {
  await cluster.stop();
});

const rowsEach = 1000;
const made = `
  CREATE SCHEMA "Schema; with ""quotes""";
  CREATE TABLE "Schema; with ""quotes"""."runs; of 'today'" (id int, track text);
  INSERT INTO "Schema; with ""quotes"""."runs; of 'today'" SELECT n, md5(n::text) FROM generate_series(1, ${rowsEach}) AS n;
  CREATE TABLE runner (id int, name varchar(40));
  INSERT INTO runner SELECT n, md5(n::text) FROM generate_series(1, ${rowsEach}) AS n;
  CREATE MATERIALIZED VIEW fast AS SELECT n FROM generate_series(1, 10) AS n;`;
const runs = `"Schema; with ""quotes"""."runs; of 'today'"`;
const again = (table: string): string =>
  `INSERT INTO ${table} SELECT n, 'new' FROM generate_series(1, ${rowsEach}) AS n;`;

/** What happens to tables between the snapshot and pg_dump's own locks. */
const moves: Record<string, string> = {
  'a TRUNCATE': `BEGIN; TRUNCATE ${runs}, runner; ${again(runs)} ${again('runner')} COMMIT;`,
  'an ALTER TYPE that rewrites': `ALTER TABLE ${runs} ALTER id TYPE bigint; ALTER TABLE runner ALTER id TYPE text;`,
  'a DROP': `DROP TABLE ${runs}; DROP TABLE runner;`,
  'a new table of the same name': `BEGIN; ALTER TABLE ${runs} RENAME TO old; CREATE TABLE ${runs} (id int, track text); ${again(runs)} COMMIT;`,
  'two columns that change their names': `ALTER TABLE runner RENAME id TO was; ALTER TABLE runner RENAME name TO id; ALTER TABLE runner RENAME was TO name;`,
  'a column dropped and made again': `ALTER TABLE ${runs} DROP track, ADD track text;`,
  'a TRUNCATE of all that there is': `TRUNCATE ${runs}, runner;`,
  'a CLUSTER': `CREATE INDEX by_id ON ${runs} (id); CLUSTER ${runs} USING by_id;`,
};

/** Where every table is locked, three show that nothing can move. */
const cases = [
  { template: 'few', names: Object.keys(moves).slice(0, 3) },
  { template: 'many', names: Object.keys(moves) },
];

describe.each(cases)('while the backup of a database with $template tables begins', ({ template, names }) => {
  let host: AgentHost;
  let wrapper: PgDumpWrapper;
  beforeEach(async () => {
    await cluster.createDatabase('app', { template });
    wrapper = new PgDumpWrapper(cluster, 'app');
    host = new AgentHost({ cluster, database: 'app', dump: { pgDump: wrapper.directory } });
  });
  afterEach(async () => {
    host.remove();
    wrapper.remove();
    await cluster.dropDatabase('app');
    await cluster.dropDatabase('again');
  });

  it.each(names)('%s makes no difference, or a new beginning', async (move) => {
    // Where the agent's own locks hold the tables, the move has to give up.
    wrapper.between(`SET lock_timeout = '300ms'; ${moves[move] ?? ''}`);
    await host.json<BackupDocument>('backup');
    const { times, said } = wrapper.ran;
    expect(times).toBe(1);
    expect(said).toMatch(template === 'few' ? /lock timeout/ : /^$/);
    await host.json('restore', 'latest', '--into', 'again');
    expect(await fingerprint(cluster, 'again')).toEqual(await fingerprint(cluster, 'app'));
  });

  it('a table made meanwhile is not in the backup, which is whole', async () => {
    wrapper.between('CREATE TABLE late (id int); INSERT INTO late VALUES (1)');
    await host.json('backup');
    expect(wrapper.ran).toEqual({ times: 1, said: '' });
    await host.json('restore', 'latest', '--into', 'again');
    const { tables } = await fingerprint(cluster, 'app');
    const { 'public.late': late, ...others } = tables;
    expect(late?.rows).toBe(1);
    expect((await fingerprint(cluster, 'again')).tables).toEqual(others);
  });

  it('a materialised view that is refreshed all the time is no reason to begin anew', async () => {
    wrapper.between('REFRESH MATERIALIZED VIEW fast', { always: true });
    await host.json('backup');
    expect(wrapper.ran).toEqual({ times: 1, said: '' });
  });
});

describe('tables that never hold still', () => {
  let host: AgentHost;
  afterEach(() => {
    host.remove();
  });

  it('end the backup with an error that names them, and nothing is stored', async () => {
    const wrapper = new PgDumpWrapper(cluster, 'many');
    host = new AgentHost({ cluster, database: 'many', dump: { pgDump: wrapper.directory } });
    wrapper.between(`TRUNCATE ${runs}`, { always: true });
    const { code, stderr } = await host.run('backup');
    expect(wrapper.ran.times).toBeGreaterThan(2);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/runs; of 'today'.*Nothing was stored/s)]);
    expect(host.files()).toEqual(['strideiq-owner.json']);
    wrapper.remove();
  });

  it('but are excluded are no concern', async () => {
    host = new AgentHost({ cluster, database: 'few', dump: { excludeTables: ['runner'], lockWaitLimit: '1s' } });
    const holder = await cluster.connect('few');
    try {
      await holder.query('BEGIN; LOCK runner IN ACCESS EXCLUSIVE MODE');
      expect(await host.json<BackupDocument>('backup')).toMatchObject({ tables: 1, rows: rowsEach });
    } finally {
      await holder.end();
    }
  });
});

describe('TRUNCATE and INSERT in one transaction, again and again', () => {
  let host: AgentHost;
  let writer: Writer;
  afterEach(async () => {
    await writer.end();
    host.remove();
  });

  it('let every backup hold every row where they leave time to begin one', async () => {
    host = new AgentHost({ cluster, database: 'few' });
    writer = new Writer(await cluster.connect('few'), 0.4);
    for (let round = 0; round < 3; round++) {
      expect(await host.json('backup')).toMatchObject({ tables: 2, rows: 2 * rowsEach });
    }
  });

  it('without a pause end in a whole backup or in a clear error, soon', async () => {
    host = new AgentHost({ cluster, database: 'few', dump: { lockWaitLimit: '3s' } });
    writer = new Writer(await cluster.connect('few'), 0);
    const { code, stdout, stderr } = await host.run('backup', '--json');
    const whole = code === 0 && (JSON.parse(stdout) as BackupDocument).rows === 2 * rowsEach;
    const told = code === 1 && /could not be locked|changed under the backup/.test(stderr);
    expect({ whole: whole || told, code, stderr }).toMatchObject({ whole: true });
    expect(host.files().filter((name) => name !== 'strideiq-owner.json').length > 0).toBe(whole);
  });
});

/** A session that truncates and fills tables: at any moment each has all of its rows. */
class Writer {
  readonly #client: pg.Client;
  readonly #writing: Promise<void>;
  #ended = false;

  constructor(client: pg.Client, pauseSeconds: number) {
    this.#client = client;
    this.#writing = this.#write(pauseSeconds);
  }

  async #write(pauseSeconds: number): Promise<void> {
    while (!this.#ended) {
      for (const table of [runs, 'runner']) {
        await this.#client.query(`BEGIN; TRUNCATE ${table}; ${again(table)} COMMIT`);
      }
      await this.#client.query(`SELECT pg_sleep(${pauseSeconds})`);
    }
  }

  async end(): Promise<void> {
    this.#ended = true;
    await this.#writing;
    await this.#client.end();
  }
}

describe('a table that another session has locked', () => {
  let host: AgentHost;
  const locked = async (): Promise<{ pid: number; end: () => Promise<void> }> => {
    const holder = await cluster.connect('few');
    await holder.query(`SET application_name = 'a migration'; BEGIN; LOCK ${runs} IN ACCESS EXCLUSIVE MODE`);
    const { rows } = await holder.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    return { pid: rows[0]?.pid ?? 0, end: async () => holder.end() };
  };
  afterEach(() => {
    host.remove();
  });

  it('is waited for', async () => {
    host = new AgentHost({ cluster, database: 'few' });
    const before = refusals(await cluster.logText());
    const holder = await locked();
    const backup = host.run('backup');
    await waitFor('three refused locks', async () => refusals(await cluster.logText()) >= before + 3);
    await holder.end();
    expect(await backup).toMatchObject({ code: 0 });
  });

  it('is waited for as long as the configuration says, and then named with its holder', async () => {
    host = new AgentHost({ cluster, database: 'few', dump: { lockWaitLimit: '2s' } });
    const holder = await locked();
    try {
      const { code, stderr } = await host.run('backup');
      expect(code).toBe(1);
      expect(stderr).toContain(runs);
      expect(stderr).toContain(`server process ${holder.pid} (a migration)`);
      expect(stderr).toContain(`SELECT pg_terminate_backend(${holder.pid})`);
      expect(stderr).toMatch(/For 2 s .*dump\.lockWaitLimit/s);
      expect(host.files()).toEqual(['strideiq-owner.json']);
    } finally {
      await holder.end();
    }
  });
});

function refusals(log: string): number {
  return log.split('could not obtain lock').length - 1;
}
