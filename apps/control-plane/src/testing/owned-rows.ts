import type { TableRows } from './tables.ts';

/**
 * The rows that are not of these agents: another agent's, another environment's, nobody's. A hostile agent may change
 * what is its own, and nothing else.
 */
export function rowsOfOthers(rows: TableRows, agentIds: readonly string[]): TableRows {
  const ids = (table: string, column: string, holder: ReadonlySet<unknown>) =>
    new Set((rows[table] ?? []).filter((row) => holder.has(row[column])).map((row) => row['id']));
  const agents = new Set<unknown>(agentIds);
  const databases = ids('databases', 'agent_id', agents);
  const runs = ids('runs', 'agent_id', agents);
  const stores = ids('stores', 'database_id', databases);
  const backups = ids('backups', 'database_id', databases);
  const isTheirs = (table: string, row: Record<string, unknown>): boolean => {
    if (table === 'agents') return agents.has(row['id']);
    if (table === 'stores') return stores.has(row['id']);
    if (table === 'copies') return backups.has(row['backup_id']);
    if (table === 'run_log') return runs.has(row['run_id']);
    if (table === 'audit') return agents.has(String(row['actor']).replace('agent:', ''));
    return agents.has(row['agent_id']);
  };
  return Object.fromEntries(
    Object.entries(rows).map(([table, each]) => [table, each.filter((row) => !isTheirs(table, row))]),
  );
}
