import type { TableRows } from '@strideiq/core';

/** Exact rows of each table, in the order in which tables were first met. */
export class RowTally {
  readonly tables: TableRows[] = [];
  private readonly places = new Map<string, number>();

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
}
