import type { Manifest, TableRows } from '@strideiq/core';
import { relationKey, type RelationName } from '@strideiq/dump';
import type { ReportProgress } from '../progress/progress.ts';
import type { Selection } from './selection.ts';

/** What a load did. */
export interface LoadResult {
  /** Rows that PostgreSQL itself says it took, by COPY's own tags; COPYs of one table added up. */
  tables: TableRows[];
  /** What was left out, and why. */
  notes: string[];
  /** Tables whose statistics are there. */
  analyzed: RelationName[];
  /** Of a part that was restored without a manifest: what it was, and where the dump has its sequences. */
  part?: LoadedPart;
}

export interface LoadedPart {
  selection: Selection;
  sequences: Manifest['sequences'];
}

/** Counts what all connections of a load have done so far, and tells how far it is. */
export class LoadTally {
  readonly #progress: ReportProgress;
  readonly #expectedRawBytes: number | undefined;
  readonly #tables = new Map<string, TableRows>();
  readonly #unknownSettings = new Set<string>();
  readonly #notes: string[] = [];
  readonly #analyzed: RelationName[] = [];
  /** As in the result. */
  part: LoadedPart | undefined;
  #privilegesLeftOut = 0;
  #rawBytes = 0;
  #rows = 0;

  constructor(progress: ReportProgress, manifest: Manifest | undefined) {
    this.#progress = progress;
    this.#expectedRawBytes = manifest?.object.rawBytes;
  }

  /** @param table under way, `schema.name` */
  addBytes(bytes: number, table?: string): void {
    this.#rawBytes += bytes;
    this.#progress({
      phase: 'restoring',
      rawBytes: this.#rawBytes,
      rows: this.#rows,
      ...(this.#expectedRawBytes === undefined ? {} : { expectedRawBytes: this.#expectedRawBytes }),
      ...(table === undefined ? {} : { table }),
    });
  }

  addRows({ schema, name }: RelationName, rows: number): void {
    const key = relationKey({ schema, name });
    const table = this.#tables.get(key) ?? { schema, name, rows: 0 };
    this.#tables.set(key, table);
    table.rows += rows;
    this.#rows += rows;
  }

  addAnalyzed(table: RelationName): void {
    this.#analyzed.push(table);
  }

  leaveOutSetting(name: string): void {
    this.#unknownSettings.add(name);
  }

  leavesOut(setting: string): boolean {
    return this.#unknownSettings.has(setting);
  }

  leaveOutPrivileges(): void {
    this.#privilegesLeftOut++;
  }

  note(text: string): void {
    this.#notes.push(text);
  }

  get result(): LoadResult {
    const settings = [...this.#unknownSettings].map(
      (name) => `The server does not know the setting ${name}, which was left out.`,
    );
    const privileges =
      this.#privilegesLeftOut === 0
        ? []
        : [
            `${this.#privilegesLeftOut} statements that set owners, grants or settings were left out: their roles are not here, or the restoring role may not act for them.`,
          ];
    return {
      tables: [...this.#tables.values()],
      analyzed: this.#analyzed,
      notes: [...settings, ...this.#notes, ...privileges],
      ...(this.part ? { part: this.part } : {}),
    };
  }
}
