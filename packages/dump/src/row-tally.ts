import type { TableRows } from '@strideiq/core';

/** Exact rows of each table, in the order in which tables were first met. */
export class RowTally {
  readonly tables: TableRows[] = [];
  private readonly places = new Map<string, number>();

  static of(tables: readonly TableRows[]): RowTally {
    const tally = new RowTally();
    for (const { schema, name, rows } of tables) tally.add(tally.placeOf(schema, name), rows);
    return tally;
  }

  /** The table's place in `tables`, which it gets when it is first met. */
  placeOf(schema: string, name: string): number {
    const key = JSON.stringify([schema, name]);
    const known = this.places.get(key);
    if (known !== undefined) return known;
    const place = this.tables.push({ schema, name, rows: 0 }) - 1;
    this.places.set(key, place);
    return place;
  }

  add(place: number, rows: number): void {
    const table = this.tables[place];
    if (table) table.rows += rows;
  }

  /** How `found` differs from this, as the rest of a sentence; undefined where it has the same tables and rows. */
  differenceTo(found: readonly TableRows[]): string | undefined {
    const other = RowTally.of(found);
    const tables = [...this.tables, ...found];
    for (const { schema, name } of tables) {
      const expectedRows = this.rowsOf(schema, name);
      const foundRows = other.rowsOf(schema, name);
      if (expectedRows === foundRows) continue;
      return `holds ${foundRows ?? 'no'} rows of ${schema}.${name} where ${expectedRows ?? 'none'} were written`;
    }
    return undefined;
  }

  private rowsOf(schema: string, name: string): number | undefined {
    const place = this.places.get(JSON.stringify([schema, name]));
    return place === undefined ? undefined : this.tables[place]?.rows;
  }
}
