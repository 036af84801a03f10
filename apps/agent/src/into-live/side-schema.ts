import { relationKey } from '@strideiq/dump';
import { AgentError } from '../errors.ts';
import type { Connection } from '../postgres/connect.ts';
import { qualifiedName, quoteIdentifier } from '../postgres/identifiers.ts';
import type { ReportProgress } from '../progress/progress.ts';
import { copyRows } from './copy-rows.ts';
import { rowsOf, type Column, type LiveTable } from './live-tables.ts';

/** A table that stands beside the live ones. */
export interface SideTable {
  schema: string;
  name: string;
  rows: number;
}

/**
 * Makes a schema in the live database, and in it a copy of each table: its columns and its rows, for people to look at and
 * to take from. No keys, indexes, defaults or triggers, whose names and functions would be the live ones'. To be called in a
 * transaction.
 * @param tables of the restored database, as they are there
 */
export async function fillSideSchema(
  live: Connection,
  restored: Connection,
  schema: string,
  tables: readonly LiveTable[],
  progress: ReportProgress,
): Promise<SideTable[]> {
  checkNames(tables);
  await live.query(`CREATE SCHEMA ${quoteIdentifier(schema)}`);
  const made: SideTable[] = [];
  for (const table of tables) {
    const { name } = table;
    progress({ phase: 'restoring', table: `${schema}.${name}` });
    await makeTable(live, qualifiedName(schema, name), table);
    // A computed column is one of values here, which are what it was.
    const columns = table.columns.map((column) => quoteIdentifier(column.name)).join(', ');
    const target = qualifiedName(schema, name);
    const rows = await copyRows(restored, `SELECT ${columns} FROM ${rowsOf(table)}`, live, listed(target, columns));
    await live.query(`ANALYZE ${target}`);
    made.push({ schema, name, rows });
  }
  return made;
}

/** A table without columns has no list of them either. */
function listed(target: string, columns: string): string {
  return columns === '' ? target : `${target} (${columns})`;
}

async function makeTable(live: Connection, target: string, table: LiveTable): Promise<void> {
  try {
    await live.query(`CREATE TABLE ${target} (${table.columns.map(definitionOf).join(', ')})`);
  } catch (cause) {
    throw new AgentError(
      'RestoreFailed',
      `A copy of ${table.schema}.${table.name} could not be made beside the live tables: ${(cause as Error).message}.`,
      'Nothing was changed. A type of the backup may be gone from the live database: restore the table into a database of its own with --into.',
      { cause },
    );
  }
}

function definitionOf({ name, type, collation }: Column): string {
  return `${quoteIdentifier(name)} ${type}${collation === null ? '' : ` COLLATE ${collation}`}`;
}

/** @throws AgentError `UsageInvalid` */
function checkNames(tables: readonly LiveTable[]): void {
  const names = new Map<string, LiveTable>();
  for (const table of tables) {
    const other = names.get(table.name);
    if (other && relationKey(other) !== relationKey(table)) {
      throw new AgentError(
        'UsageInvalid',
        `${other.schema}.${other.name} and ${table.schema}.${table.name} cannot both be called ${table.name} in one schema.`,
        'Restore them one after the other, each into a schema of its own.',
      );
    }
    names.set(table.name, table);
  }
}
