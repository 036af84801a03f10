import {
  DumpSession,
  gunzip,
  parseSetval,
  PostDataReader,
  readDump,
  relationKey,
  sessionEffect,
  type DumpPiece,
  type PostDataItem,
} from '@strideiq/dump';
import { readInventory } from '../inventory/read-inventory.ts';
import { isOfGrants, isOfLargeObjects, itemsOf, noteWithoutRows, notInParts } from './left-out.ts';
import { heldPostDataBytes, type LoadContext } from './load-context.ts';
import { planLoad } from './load-plan.ts';
import type { LoadSession } from './load-session.ts';
import type { LoadedPart } from './load-tally.ts';
import { runOnWorkers } from './load-workers.ts';
import { readMadeObjects, type MadeObjects } from './relations.ts';
import { runItem, runPiece } from './run-pieces.ts';
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
  /** Where a part is wanted, once pre-data is there: what it is, and what there is. */
  #part: (LoadedPart & { made: MadeObjects }) | undefined;
  #postData: PostDataReader | undefined;
  #oneByOne = false;
  #grantsSeen = false;

  constructor(session: LoadSession, context: LoadContext) {
    this.#session = session;
    this.#context = context;
  }

  async take(piece: DumpPiece): Promise<void> {
    this.#grantsSeen ||= isOfGrants(piece.toc);
    if (piece.section !== 'pre-data' && !this.#preDataDone) await this.#endPreData();
    if (piece.section === 'post-data' && this.#part?.selection.postData === false) return;
    if (piece.section === 'post-data' && !this.#oneByOne) {
      if (piece.kind === 'statement' && this.#gather(piece)) return;
      if (this.#part) throw notInParts(this.#context.source.dumpKey);
      await this.#goOnOneByOne();
    }
    if (piece.kind === 'statement') this.#follower.follow(piece.sql);
    if (this.#isWanted(piece)) await runPiece(this.#session, piece);
  }

  async #endPreData(): Promise<void> {
    const { source, afterPreData, sessions, tally, wanted } = this.#context;
    this.#preDataDone = true;
    await afterPreData(this.#session.connection);
    if (!wanted) return;
    // What stands in a transaction nobody else sees yet.
    if (!this.#follower.known) throw notInParts(source.dumpKey);
    const made = await sessions.look(readMadeObjects);
    const inventory = await sessions.look(readInventory);
    // The inventory leaves out what belongs to an extension, of which a dump may have rows all the same.
    const ofExtensions = [...made.relations.values()].filter(({ fromExtension }) => fromExtension);
    const tables = ofExtensions.map(({ schema, name }) => ({ schema, name, rows: 0 }));
    this.#part = { selection: selectFrom({ tables, inventory }, wanted), sequences: [], made };
    tally.part = this.#part;
  }

  /** Whether a piece of pre-data or data is to be run. Of a part's data only rows are; its sequences are set at the end. */
  #isWanted(piece: DumpPiece): boolean {
    if (!this.#context.wanted) return true;
    if (!this.#part) return !isOfLargeObjects(piece.toc);
    const { selection } = this.#part;
    if (piece.kind === 'statement') return this.#isWantedBesideRows(piece, this.#part);
    const key = relationKey(piece.table);
    const partition = selection.roots.get(key);
    if (partition !== undefined) throw throughRoot(partition, `${piece.table.schema}.${piece.table.name}`);
    return selection.tables?.has(key) ?? false;
  }

  #isWantedBesideRows({ sql, toc }: Statement, { selection, sequences }: LoadedPart): boolean {
    if (sessionEffect(sql).kind === 'setting') return true;
    if (isOfLargeObjects(toc) || toc?.type === 'STATISTICS DATA') return false;
    // Without any index or key they stand here, for there is no post-data before them.
    if (isOfGrants(toc)) return selection.tables === undefined;
    const value = parseSetval(sql, this.#follower.scan.clientEncoding);
    if (!value) throw notInParts(this.#context.source.dumpKey);
    sequences.push(value);
    return false;
  }

  /** Puts a statement with those that are run on several connections at the end, where it may be one of them. */
  #gather({ sql, toc }: Statement): boolean {
    if (this.#part && !isOfPostData(sql)) return false;
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
    const { sessions, jobs, stop } = this.#context;
    if (!this.#preDataDone) await this.#endPreData();
    const items = this.#items();
    if (items.length === 0) return;
    const made = this.#part?.made ?? (await sessions.look(readMadeObjects));
    const data = { rows: [], rest: [], sizes: new Map() };
    const tasks = planLoad({ data, restRawBytes: 0, items, session: this.#follower, made, analyze: false });
    await runOnWorkers(tasks, this.#session, sessions, {
      jobs,
      stop,
      run: async (session, work) => {
        if (work.kind === 'item') await runItem(session, work.item);
      },
    });
  }

  /** What was gathered of post-data; of a part, what goes with it, and a note of what does not. */
  #items(): readonly PostDataItem[] {
    const items = this.#postData?.items ?? [];
    if (!this.#part) return items;
    const { selection, made } = this.#part;
    const { tally } = this.#context;
    const note = (text: string) => tally.note(text);
    noteWithoutRows(selection, tally.result.tables, made, note);
    if (selection.tables && this.#grantsSeen) note('The grants of the dump were left out.');
    return itemsOf(items, selection, this.#follower.scan.clientEncoding, note);
  }
}

type Statement = Extract<DumpPiece, { kind: 'statement' }>;

/** Neither rows nor tables stand there in what pg_dump writes. */
function isOfPostData(sql: Buffer): boolean {
  return !/^(?:INSERT|DROP|CREATE (?:[A-Z]+ )?TABLE)\b/i.test(sql.toString('latin1', 0, 100));
}
