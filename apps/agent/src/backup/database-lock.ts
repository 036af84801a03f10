import { AgentError } from '../errors.ts';
import type { Connection } from '../postgres/connect.ts';

/** Two numbers nobody else uses for advisory locks: 'StrideIQ' as ASCII, in halves. */
const lockKey = [0x5374_7269, 0x6465_4951] as const;

/**
 * One backup of a database at a time, from whichever host: an advisory lock that PostgreSQL itself lets go of when the
 * connection ends, so that a killed agent blocks nobody.
 * @throws AgentError `BackupAlreadyRunning` naming the session that holds it
 */
export async function lockDatabase(connection: Connection, database: string): Promise<void> {
  const { rows } = await connection.query<{ got: boolean }>('SELECT pg_try_advisory_lock($1, $2) AS got', [...lockKey]);
  if (rows[0]?.got === true) return;
  const holder = await connection.query<{ pid: number; application_name: string; since: string }>(
    `SELECT a.pid, a.application_name, to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SS TZ') AS since
       FROM pg_locks l JOIN pg_stat_activity a USING (pid)
      WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid::int8 = $1 AND l.objid::int8 = $2
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    [...lockKey],
  );
  const who = holder.rows[0];
  const by = who ? ` by ${who.application_name || 'a session'} (server process ${who.pid}, since ${who.since})` : '';
  throw new AgentError(
    'BackupAlreadyRunning',
    `A backup of ${database} is already being made${by}.`,
    'Wait for it to end. If its host is gone, end the session with pg_terminate_backend and run this again.',
  );
}
