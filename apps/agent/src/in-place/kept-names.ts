import type { Connection } from '../postgres/connect.ts';

const mostBytes = 63;

/** `app_before_20261130_041500`: a name for a database that lost its own, cut in front where PostgreSQL has no room. */
export function keptName(database: string, what: 'before' | 'undone', nowMs: number): string {
  const [day = '', time = ''] = new Date(nowMs).toISOString().slice(0, 19).replaceAll(/[-:]/g, '').split('T');
  const end = `_${what}_${day}_${time}`;
  let begin = database;
  while (Buffer.byteLength(begin + end) > mostBytes) begin = Array.from(begin).slice(0, -1).join('');
  return begin + end;
}

/** Whether a database is one that lost its name, by the form of the name that it got. */
export function isKeptName(name: string): boolean {
  return /_(?:before|undone)_\d{8}_\d{6}$/.test(name);
}

/** The same, a second later for as long as there is a database of that name. */
export async function freeKeptName(
  connection: Connection,
  database: string,
  what: 'before' | 'undone',
  nowMs: number,
): Promise<string> {
  for (let at = nowMs; ; at += 1000) {
    const name = keptName(database, what, at);
    const { rows } = await connection.query('SELECT FROM pg_database WHERE datname = $1', [name]);
    if (rows.length === 0) return name;
  }
}
