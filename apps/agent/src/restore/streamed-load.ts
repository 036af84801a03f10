import {
  DumpSession,
  gunzip,
  parseSetval,
  PostDataReader,
  readDump,
  relationKey,
  sessionEffect,
  type DumpPiece,
} from '@strideiq/dump';
import { readInventory } from '../inventory/read-inventory.ts';
import { isOfLargeObjects, itemsOf, notInParts } from './left-out.ts';
import { heldPostDataBytes, type LoadContext } from './load-context.ts';
import { planLoad } from './load-plan.ts';
import type { LoadSession } from './load-session.ts';
import { runOnWorkers } from './load-workers.ts';
import { readMadeObjects } from './relations.ts';
import { runItem, runPiece } from './run-pieces.ts';
import type { LoadedPart } from './load-tally.ts';
import { selectFrom, throughRoot } from './selection.ts';

/** A dump that is read once, from its start to its end. */
export async function loadStream(context: LoadContext): Promise<void> {
  const { source, sessions, signal } = context;
  const session = await sessions.open();
  const stream = new StreamedLoad(session, context);
  const open = async () => source.opened.store.get(source.dumpKey, undefined, { signal });
  for await (const piece of readDump(gunzip(lazily(open)))) {
    signal.throwIfAborted();
    await stream.take(piece);
  }
  await stream.end();
}

async function* lazily(open: () => Promise<AsyncIterable<Uint8Array>>): AsyncGenerator<Uint8Array> {
  yield* await open();
}

/** One connection runs what comes; post-data that pg_dump has written is gathered, and run on several. */
class StreamedLoad {
  readonly #session: LoadSession;
  readonly #context: LoadContext;
  readonly #follower = new DumpSession();
  #preDataDone = false;
  /** Where a part is wanted, once pre-data is there. */
  #part: LoadedPart | undefined;
  #postData: PostDataReader | undefined;
  #oneByOne = false;

  constructor(session: LoadSession, context: LoadContext) {
    this.#session = session;
    this.#context = context;
  }

  async take(piece: DumpPiece): Promise<void> {
    if (piece.section !== 'pre-data' && !this.#preDataDone) await this.#endPreData();
    if (piece.section === 'post-data' && !this.#oneByOne) {
      if (piece.kind === 'statement' && this.#gather(piece)) return;
      if (this.#part) throw notInParts(this.#context.source.dumpKey);
      await this.#goOnOneByOne();
    }
    if (piece.kind === 'statement') this.#follower.follow(piece.sql);
    if (this.#isWanted(piece)) await runPiece(this.#session, piece);
  }

  async #endPreData(): Promise<void> {
    const { afterPreData, sessions, tally, wanted } = this.#context;
    this.#preDataDone = true;
    await afterPreData(this.#session.connection);
    if (!wanted) return;
    const inventory = await sessions.look(readInventory);
    this.#part = { selection: selectFrom({ tables: [], inventory }, wanted), sequences: [] };
    tally.part = this.#part;
  }

  /** Whether a piece of pre-data or data is to be run. Of a part's data only rows are; its sequences are set at the end. */
  #isWanted(piece: DumpPiece): boolean {
    const { wanted, source } = this.#context;
    if (!wanted) return true;
    const part = this.#part;
    if (!part) return !isOfLargeObjects(piece.toc);
    const { selection, sequences } = part;
    if (piece.kind === 'copy') {
      const key = relationKey(piece.table);
      const part = selection.roots.get(key);
      if (part !== undefined) throw throughRoot(part, `${piece.table.schema}.${piece.table.name}`);
      return selection.tables?.has(key) ?? false;
    }
    const value = parseSetval(piece.sql, this.#follower.scan.clientEncoding);
    if (value) sequences.push(value);
    else if (sessionEffect(piece.sql).kind !== 'setting' && !isOfLargeObjects(piece.toc)) {
      throw notInParts(source.dumpKey);
    }
    return false;
  }

  /** Puts a statement with those that are run on several connections at the end, where it may be one of them. */
  #gather({ sql, toc }: Extract<DumpPiece, { kind: 'statement' }>): boolean {
    this.#postData ??= this.#follower.known ? new PostDataReader(this.#follower) : undefined;
    const effect = sessionEffect(sql);
    if (!this.#postData || effect.kind === 'unknown' || effect.kind === 'transaction') return false;
    if (this.#postData.bytes + sql.length > heldPostDataBytes) return false;
    this.#postData.add(sql, toc);
    return true;
  }

  /** What was gathered is run now, and what follows as it comes. */
  async #goOnOneByOne(): Promise<void> {
    this.#oneByOne = true;
    const items = this.#postData?.items ?? [];
    this.#postData = undefined;
    for (const item of items) await runItem(this.#session, item);
    if (items.length > 0) await this.#session.set(this.#follower.settings);
  }

  /** Nothing follows. */
  async end(): Promise<void> {
    const { sessions, jobs, stop, tally } = this.#context;
    if (!this.#preDataDone) await this.#endPreData();
    const all = this.#postData?.items ?? [];
    const { clientEncoding } = this.#follower.scan;
    const items = this.#part ? itemsOf(all, this.#part.selection, clientEncoding, (text) => tally.note(text)) : all;
    if (items.length === 0) return;
    const made = await sessions.look(readMadeObjects);
    const data = { rows: [], rest: [], sizes: new Map() };
    const tasks = planLoad({ data, restRawBytes: 0, items, session: this.#follower, made });
    await runOnWorkers(tasks, this.#session, sessions, {
      jobs,
      stop,
      run: async (session, work) => {
        if (work.kind === 'item') await runItem(session, work.item);
      },
    });
  }
}
