import { startPostgres, type PostgresCluster } from '@strideiq/testkit';
import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, test } from 'vitest';
import { connect, endConnection, type Connection } from './connect.ts';
import { copyOut } from './copy-out.ts';
import type { Endpoint } from './endpoint.ts';

/** Over a socket as Node makes it, and over one that lends its buffer. */
describe.each([false, true])('readsMuch: %s', (readsMuch) => {
  let cluster: PostgresCluster;
  let connection: Connection;
  beforeAll(async () => {
    cluster = await startPostgres();
  });
  afterAll(async () => {
    await cluster?.stop();
  });
  beforeEach(async () => {
    const { host, port, user } = cluster;
    const endpoint: Endpoint = { host, port, user, database: 'postgres', secrets: [], exec: [], execConnect: [] };
    connection = await connect(endpoint, { applicationName: 'copy', readsMuch });
  });
  afterEach(async () => {
    await endConnection(connection);
  });

  /** Everything that a COPY brings, and how many rows end in it. */
  async function taken(sql: string, waits = false): Promise<{ text: string; ends: number; rows: number }> {
    const parts: Buffer[] = [];
    let ends = 0;
    const rows = await copyOut(connection, Buffer.from(sql), (bytes, from, to, endsRow) => {
      parts.push(Buffer.from(bytes.subarray(from, to)));
      if (endsRow) ends++;
      return waits ? new Promise((resolve) => setImmediate(resolve)) : undefined;
    });
    return { text: Buffer.concat(parts).toString(), ends, rows };
  }

  describe('copyOut', () => {
    test.each([
      ['rows of every length', 'SELECT repeat(chr(97 + n % 26), n) FROM generate_series(0, 3000) AS n', 3001],
      ['rows larger than any buffer', 'SELECT repeat(md5(n::text), 100000) FROM generate_series(1, 3) AS n', 3],
      ['rows of no columns', 'SELECT FROM generate_series(1, 1000)', 1000],
      ['no rows', 'SELECT 1 WHERE false', 0],
    ])('brings %s as psql does, held back or not, and leaves the connection as it was', async (_, sql, count) => {
      const { stdout } = await cluster.psql('postgres', { args: ['-c', `COPY (${sql}) TO STDOUT`] });
      for (const waits of [false, true]) {
        const { text, ends, rows } = await taken(`COPY (${sql}) TO STDOUT`, waits);
        expect(text === stdout).toBe(true);
        expect([ends, rows]).toEqual([count, count]);
      }
      expect((await connection.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    });

    test('tells the server’s own words, and leaves the connection as it was', async () => {
      const failing = taken('COPY (SELECT 1 / (3 - n) FROM generate_series(1, 3) AS n) TO STDOUT');
      await expect(failing).rejects.toMatchObject({ message: 'division by zero', code: '22012' });
      await expect(taken('COPY nothing TO STDOUT')).rejects.toMatchObject({ code: '42P01' });
      expect((await connection.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    });

    test('ends when the session is ended, and with a connection that is over', async () => {
      const { rows } = await connection.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
      const [sleeping] = await Promise.allSettled([
        taken('COPY (SELECT pg_sleep(60)) TO STDOUT'),
        cluster.query('postgres', 'SELECT pg_terminate_backend($1)', [rows[0]?.pid]),
      ]);
      expect(sleeping).toMatchObject({
        reason: { code: 'ConnectionLost', message: expect.stringMatching(/terminating connection|lost/) as string },
      });
      await expect(taken('COPY (SELECT 1) TO STDOUT')).rejects.toMatchObject({ code: 'ConnectionLost' });
    });

    test('cuts the connection where the one who takes the rows fails: there may be no end of them', async () => {
      const gone = new Error('gone');
      const endless = Buffer.from('COPY (SELECT generate_series(1, 1000000000)) TO STDOUT');
      const failing = copyOut(connection, endless, () => {
        throw gone;
      });
      await expect(failing).rejects.toBe(gone);
      expect(connection.connection.stream.destroyed).toBe(true);
    });
  });
});
