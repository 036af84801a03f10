import { setTimeout as delay } from 'node:timers/promises';
import type { Run } from '../journal/journal.ts';
import type { Connection } from '../postgres/connect.ts';

const longestWaitMs = 10_000;

/**
 * Ends the sessions on the server that killed runs left there, and waits until they are gone. A session does not notice
 * that its client is dead while it works: a CREATE DATABASE would still come about after we have looked for the
 * database, and a leader's lock would refuse the next backup. Behind `docker exec` even pg_dump itself lives on.
 */
export async function endSessions(connection: Connection, runs: readonly Run[]): Promise<void> {
  // Every session of a run bears the end of its id: see where backup and restore connect. A drill is a restore.
  const names = runs.map(({ id, kind }) => `strideiq-${kind === 'backup' ? kind : 'restore'}-${id.slice(-12)}`);
  const roles = runs.flatMap(({ detail }) => detail.untrustedRole ?? []);
  const giveUpAt = performance.now() + longestWaitMs;
  for (;;) {
    const { rows } = await connection.query(
      `SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a
        WHERE a.pid <> pg_backend_pid()
          AND (a.usename = ANY ($2::text[]) OR (a.usename = current_user
               AND EXISTS (SELECT FROM unnest($1::text[]) AS name WHERE starts_with(a.application_name, name))))`,
      [names, roles],
    );
    if (rows.length === 0 || performance.now() > giveUpAt) return;
    await delay(50);
  }
}
