import { DumpSession, gunzip, PostDataReader, readDump, sessionEffect, type DumpPiece } from '@strideiq/dump';
import { heldPostDataBytes, type LoadContext } from './load-context.ts';
import { planLoad } from './load-plan.ts';
import type { LoadSession } from './load-session.ts';
import { runOnWorkers } from './load-workers.ts';
import { readMadeObjects } from './relations.ts';
import { runItem, runPiece } from './run-pieces.ts';

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
  #postData: PostDataReader | undefined;
  #oneByOne = false;

  constructor(session: LoadSession, context: LoadContext) {
    this.#session = session;
    this.#context = context;
  }

  async take(piece: DumpPiece): Promise<void> {
    if (piece.section !== 'pre-data' && !this.#preDataDone) {
      this.#preDataDone = true;
      await this.#context.afterPreData(this.#session.connection);
    }
    if (piece.section === 'post-data' && !this.#oneByOne) {
      if (piece.kind === 'statement' && this.#gather(piece)) return;
      await this.#goOnOneByOne();
    }
    if (piece.kind === 'statement') this.#follower.follow(piece.sql);
    await runPiece(this.#session, piece);
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
    const { sessions, jobs, stop } = this.#context;
    const items = this.#postData?.items ?? [];
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
