import { readFile } from 'node:fs/promises';
import type { HooksConfiguration } from '../configuration/index.ts';
import { AgentError } from '../errors.ts';
import { notingIn } from '../hooks/hook-process.ts';
import { runHook } from '../hooks/run-hook.ts';
import { log } from '../journal/run-log.ts';
import type { Journal } from '../journal/journal.ts';
import { libpqEnvironment } from '../postgres/client-tools.ts';
import type { Connection } from '../postgres/connect.ts';
import type { Endpoint } from '../postgres/endpoint.ts';

export interface AfterRestore {
  hooks: HooksConfiguration;
  /** The restored database, under the name that it bears now. */
  endpoint: Endpoint;
  /** A connection to it that is used for nothing else. */
  connection: Connection;
  runId: string;
  /** Name in the host's file. */
  database: string;
  backupId: string | undefined;
  journal: Journal;
  signal: AbortSignal;
}

/**
 * The host's own SQL and commands on a restored database that nobody else can enter yet.
 * @throws AgentError `HookFailed`
 */
export async function afterRestore(work: AfterRestore): Promise<void> {
  const { hooks, endpoint, connection, runId, database, backupId, journal, signal } = work;
  if (hooks.afterRestoreSql !== undefined) await runSqlFile(connection, hooks.afterRestoreSql, hooks.timeLimitMs);
  await runHook('afterRestore', hooks.afterRestore, {
    runId,
    database,
    target: endpoint.database,
    backupId,
    // Behind `exec` these are the other side's address, which from here is none, or another server's.
    environment: endpoint.exec.length > 0 ? {} : libpqEnvironment(endpoint),
    limitMs: hooks.timeLimitMs,
    running: notingIn(journal, runId),
    say: (line) => log(journal, runId, 'info', line),
    signal,
  });
}

/** As psql would run it with one transaction and ON_ERROR_STOP, without its own commands. */
async function runSqlFile(connection: Connection, file: string, limitMs: number): Promise<void> {
  try {
    const sql = await readFile(file, 'utf8');
    // Our own sessions find nothing by short names; those of people do.
    await connection.query(`RESET search_path; SET statement_timeout = ${limitMs}`);
    await connection.query(sql);
    const { rows } = await connection.query<{ open: boolean }>(
      'SELECT pg_catalog.pg_current_xact_id_if_assigned() IS NOT NULL AS open',
    );
    if (rows[0]?.open === true) throw new Error('it begins a transaction, and does not commit it');
  } catch (cause) {
    throw new AgentError(
      'HookFailed',
      `hooks.afterRestoreSql (${file}) failed: ${(cause as Error).message}.`,
      'Try it by psql on a restored database; the path is in agent.yaml.',
      { cause },
    );
  }
}
