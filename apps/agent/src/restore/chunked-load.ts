import type { Chunk, Manifest, Section } from '@strideiq/core';
import {
  ChunkBuffers,
  DumpSession,
  PostDataReader,
  readChunks,
  relationKey,
  type ChunkPiece,
  type FetchRange,
  type PostDataItem,
  type ScanSettings,
  type SettingsInForce,
} from '@strideiq/dump';
import { qualifiedName } from '../postgres/identifiers.ts';
import { loadedApart, planData, type DataPlan, type RowsWork } from './data-plan.ts';
import { heldPostDataBytes, type LoadContext } from './load-context.ts';
import { isOfLargeObjects, itemsOf, noteWithoutRows, notInParts } from './left-out.ts';
import { planLoad, type LoadWork } from './load-plan.ts';
import type { LoadSession } from './load-session.ts';
import { runOnWorkers } from './load-workers.ts';
import { readMadeObjects } from './relations.ts';
import { runItem, runPiece } from './run-pieces.ts';
import { loadRows } from './table-rows.ts';

/** Compressed bytes that all workers together hold of chunks that are not read yet; a disk answers soon enough without. */
const aheadBytes = { directory: 0, s3: 16 * 1024 * 1024 };

/** A dump whose chunks are known, read at any place by any worker. */
export class ChunkedLoad {
  readonly #manifest: Manifest;
  readonly #context: LoadContext;
  readonly #placeOf: ReadonlyMap<Chunk, number>;
  /** As pre-data leaves it. */
  readonly #follower = new DumpSession();
  /** In which the data section is read and run. */
  #scan: ScanSettings | undefined;
  #settings: SettingsInForce = new Map();
  #data: DataPlan = { rows: [], rest: [], sizes: new Map() };
  #isApart: ReturnType<typeof loadedApart> = () => false;
  readonly #buffers = new ChunkBuffers();
  /** Places of chunks in which something was passed over that has to be run too. */
  readonly #passed = new Set<number>();

  constructor(manifest: Manifest, context: LoadContext) {
    this.#manifest = manifest;
    this.#context = context;
    this.#placeOf = new Map(manifest.chunks.map((chunk, place) => [chunk, place]));
  }

  async run(): Promise<void> {
    const { sessions, afterPreData, jobs, stop, selection, tally, analyze } = this.#context;
    const first = await sessions.open();
    await this.#runPreData(first);
    await afterPreData(first.connection);
    // Another session could not take the place of one in which anything may have happened.
    if (!this.#follower.known) {
      this.#assertWhole();
      await this.#runInOrder(first, [...this.#chunksOf('data'), ...this.#chunksOf('post-data')]);
      return;
    }
    const made = await sessions.look(readMadeObjects);
    if (selection) noteWithoutRows(selection, this.#manifest.tables, made, (text) => tally.note(text));
    this.#data = planData(this.#manifest, made, selection && (selection.tables ?? new Set()));
    this.#isApart = loadedApart(this.#data);
    const items = await this.#readItems();
    const restRawBytes = this.#chunksAt(this.#data.rest).reduce((sum, { rawLength }) => sum + rawLength, 0);
    const tasks = planLoad({ data: this.#data, restRawBytes, items, session: this.#follower, made, analyze });
    await runOnWorkers(tasks, first, sessions, {
      jobs,
      stop,
      run: async (session, work) => this.#run(session, work),
    });
  }

  async #runPreData(session: LoadSession): Promise<void> {
    for await (const piece of this.#read(this.#chunksOf('pre-data'))) {
      if (this.#context.leavesOut(piece) || (this.#context.selection && isOfLargeObjects(piece.toc))) continue;
      if (piece.kind === 'statement') this.#follower.follow(piece.sql);
      await runPiece(session, piece);
    }
    this.#scan = this.#follower.scan;
    this.#settings = this.#follower.settings;
  }

  async #run(session: LoadSession, work: LoadWork): Promise<void> {
    switch (work.kind) {
      case 'rows':
        return this.#loadRows(session, work.rows);
      case 'rest':
        return this.#loadRest(session);
      case 'item':
        return runItem(session, work.item);
      case 'analyze':
        await session.runOwn(`ANALYZE ${qualifiedName(work.table.schema, work.table.name)}`);
        return this.#context.tally.addAnalyzed(work.table);
      case 'post-data':
        return this.#runInOrder(session, this.#chunksOf('post-data'));
    }
  }

  async #loadRows(session: LoadSession, rows: RowsWork): Promise<void> {
    await session.set(this.#settings);
    await loadRows(session, rows, this.#read(this.#chunksAt(rows.chunks)), (piece) => {
      if (this.#isOfRest(piece)) this.#passed.add(this.#placeOf.get(piece.chunk) ?? 0);
    });
  }

  /** What is left of the data section, in its order. */
  async #loadRest(session: LoadSession): Promise<void> {
    const places = [...new Set([...this.#data.rest, ...this.#passed])].toSorted((a, b) => a - b);
    await session.set(this.#settings);
    for await (const piece of this.#read(this.#chunksAt(places))) {
      if (this.#isOfRest(piece)) await runPiece(session, piece);
    }
  }

  #isOfRest(piece: ChunkPiece): boolean {
    const { selection, leavesOut } = this.#context;
    if (leavesOut(piece)) return false;
    if (piece.kind === 'statement') return selection === undefined;
    if (this.#isApart(this.#placeOf.get(piece.chunk) ?? 0, piece.table)) return false;
    return selection === undefined || (selection.tables?.has(relationKey(piece.table)) ?? false);
  }

  /** Post-data as items; undefined where it is not what pg_dump writes, or more than is held. */
  async #readItems(): Promise<readonly PostDataItem[] | undefined> {
    const { selection, tally, leavesOut } = this.#context;
    if (selection && !selection.postData) return [];
    const reader = new PostDataReader(this.#follower);
    for await (const piece of this.#read(this.#chunksOf('post-data'))) {
      if (leavesOut(piece)) continue;
      if (piece.kind === 'statement') reader.add(piece.sql, piece.toc);
      if (piece.kind === 'statement' && this.#follower.known && reader.bytes <= heldPostDataBytes) continue;
      this.#assertWhole();
      return undefined;
    }
    if (!selection) return reader.items;
    return itemsOf(reader.items, selection, this.#follower.scan.clientEncoding, (text) => tally.note(text));
  }

  #assertWhole(): void {
    if (this.#context.selection) throw notInParts(this.#context.source.dumpKey);
  }

  async #runInOrder(session: LoadSession, chunks: readonly Chunk[]): Promise<void> {
    await session.set(this.#settings);
    for await (const piece of this.#read(chunks)) if (!this.#context.leavesOut(piece)) await runPiece(session, piece);
  }

  #chunksOf(section: Section): Chunk[] {
    return this.#manifest.chunks.filter((chunk) => chunk.section === section);
  }

  #chunksAt(places: readonly number[]): Chunk[] {
    return places.map((place) => this.#manifest.chunks[place]).filter((chunk) => chunk !== undefined);
  }

  async *#read(chunks: readonly Chunk[]): AsyncGenerator<ChunkPiece> {
    const { source, signal, jobs } = this.#context;
    const fetch: FetchRange = async (offset, length) =>
      source.opened.store.get(source.dumpKey, { offset, length }, { signal });
    const settings = this.#scan;
    const pieces = readChunks(chunks, fetch, {
      aheadBytes: aheadBytes[source.opened.kind] / jobs,
      buffers: this.#buffers,
      ...(settings ? { settings } : {}),
    });
    for await (const piece of pieces) {
      signal.throwIfAborted();
      yield piece;
    }
  }
}
