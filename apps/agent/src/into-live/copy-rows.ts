import { PassThrough } from 'node:stream';
import type { Connection } from '../postgres/connect.ts';
import { copyOut, type TakeRow } from '../postgres/copy-out.ts';
import { SqlSession } from '../postgres/sql-session.ts';

const blockBytes = 128 * 1024;

/**
 * Copies rows from one database into another of the same server. As text: types that a database has made have other
 * numbers in each, which COPY's binary form would hold. Both sessions have to write and read values alike, see `alike`.
 * @param query what gives the rows
 * @param target table and columns that take them
 * @returns how many there were
 * @throws pg.DatabaseError, ServerError; whichever side failed first
 */
export async function copyRows(from: Connection, query: string, to: Connection, target: string): Promise<number> {
  const pipe = new PassThrough({ highWaterMark: 4 * blockBytes });
  // Whoever reads it hears of it by itself; before that nobody does.
  pipe.on('error', () => undefined);
  let rows: Buffer[] = [];
  let bytes = 0;
  const pass = async (): Promise<void> => {
    // Whoever takes the rows has failed, and tells why.
    if (pipe.destroyed) throw new Error('nobody takes the rows any more');
    const hasRoom = pipe.write(Buffer.concat(rows));
    rows = [];
    bytes = 0;
    if (!hasRoom) await roomIn(pipe);
  };
  const take: TakeRow = (buffer, begin, end) => {
    rows.push(Buffer.from(buffer.subarray(begin, end)));
    bytes += end - begin;
    return bytes < blockBytes ? undefined : pass();
  };
  const reading = copyOut(from, Buffer.from(`COPY (${query}) TO STDOUT`), take).then(
    async (count) => {
      if (bytes > 0) await pass();
      pipe.end();
      return count;
    },
    (error: Error) => {
      pipe.destroy(error);
      throw error;
    },
  );
  const writing = new SqlSession(to)
    .copyIn(Buffer.from(`COPY ${target} FROM STDIN`), pipe)
    .finally(() => pipe.destroy());
  const [written, read] = await Promise.allSettled([writing, reading]);
  // Where reading fails, COPY ends with that very error.
  if (written.status === 'rejected') throw written.reason;
  if (read.status === 'rejected') throw read.reason;
  return read.value;
}

/** Resolves when there is room again, or nobody will take anything any more. */
async function roomIn(pipe: PassThrough): Promise<void> {
  if (pipe.destroyed) return;
  await new Promise<void>((resolve) => {
    const go = () => {
      pipe.off('drain', go).off('close', go);
      resolve();
    };
    pipe.on('drain', go).on('close', go);
  });
}

/** Settings under which one session's text is read by the other as it was meant. */
export async function alike(connections: readonly Connection[]): Promise<void> {
  const encodings: string[] = [];
  for (const connection of connections) {
    await connection.query(
      `SET IntervalStyle = 'postgres'; SET extra_float_digits = 3; SET bytea_output = 'hex'; SET row_security = off;
       SET lc_monetary = 'C'; SET array_nulls = on; SET xmloption = content`,
    );
    const { rows } = await connection.query<{ encoding: string }>(
      "SELECT pg_catalog.current_setting('server_encoding') AS encoding",
    );
    encodings.push(rows[0]?.encoding ?? '');
  }
  // What has no encoding can be converted into none: its bytes pass as they are.
  if (!encodings.includes('SQL_ASCII')) return;
  for (const connection of connections) await connection.query("SET client_encoding = 'SQL_ASCII'");
}
