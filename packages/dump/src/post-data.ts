import type { DumpSession, SettingsInForce } from './dump-session.ts';
import { readItemWork, type ItemWork } from './item-work.ts';
import type { TocItem } from './toc.ts';

/** A statement with the settings that it is to be run under. */
export interface SetStatement {
  sql: Buffer;
  settings: SettingsInForce;
}

/** One object of post-data: what stands below one of pg_dump's comments. */
export interface PostDataItem {
  toc: TocItem | undefined;
  statements: SetStatement[];
}

/** Gathers post-data into items. */
export class PostDataReader {
  readonly items: PostDataItem[] = [];
  readonly #session: DumpSession;
  #bytes = 0;

  /** @param session as the dump has left it where post-data begins */
  constructor(session: DumpSession) {
    this.#session = session;
  }

  /** @param toc the comment that was met last; undefined in a chunk that goes on with the item of the one before */
  add(sql: Buffer, toc: TocItem | undefined): void {
    this.#bytes += sql.length;
    const effect = this.#session.follow(sql);
    if (effect.kind === 'setting') return;
    const statement = { sql, settings: this.#session.settings };
    const last = this.items.at(-1);
    if (last && (toc === undefined || toc === last.toc)) last.statements.push(statement);
    else this.items.push({ toc, statements: [statement] });
  }

  /** Bytes of SQL that are held. */
  get bytes(): number {
    return this.#bytes;
  }
}

/** What an item does; `enums` by `relationKey`. */
export function workOf(item: PostDataItem, session: DumpSession, enums: ReadonlySet<string>): ItemWork {
  if (!session.searchesNothing || !session.scan.standardStrings) return { kind: 'ordered' };
  const { clientEncoding } = session.scan;
  return readItemWork(
    item.statements.map(({ sql }) => sql),
    { clientEncoding, enums },
  );
}
