import type { Catalog } from '../catalog/open-catalog.ts';

export type TableRows = Record<string, Record<string, unknown>[]>;

/** Every row of every table, in an order of their own. */
export function rowsOf(catalog: Catalog): TableRows {
  const client = catalog.$client;
  const tables = client
    .prepare(
      "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '\\_\\_%' ESCAPE '\\' ORDER BY name",
    )
    .pluck()
    .all() as string[];
  return Object.fromEntries(
    tables.map((name) => {
      const rows = client.prepare(`SELECT * FROM "${name}"`).all() as Record<string, unknown>[];
      return [name, rows.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))];
    }),
  );
}

/** The same without the columns named, which tell when something was heard rather than what. */
export function without(rows: TableRows, columns: readonly string[]): TableRows {
  return Object.fromEntries(
    Object.entries(rows).map(([table, each]) => [
      table,
      each
        .map((row) => Object.fromEntries(Object.entries(row).filter(([column]) => !columns.includes(column))))
        .sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)),
    ]),
  );
}
