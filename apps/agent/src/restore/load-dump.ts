import type { Manifest, TableRows } from '@strideiq/core';
import { gunzip, isServerLevel, readChunks, readDump, type DumpPiece } from '@strideiq/dump';
import type { BackupSource } from '../backups/resolve-reference.ts';
import { AgentError } from '../errors.ts';
import type { Connection } from '../postgres/connect.ts';
import { setsPrivileges } from '../postgres/privilege-statements.ts';
import type { ReportProgress } from '../progress/progress.ts';
import { SqlSession } from '../postgres/sql-session.ts';

/** What a load did. */
export interface LoadResult {
  /** Rows that PostgreSQL itself says it took, by COPY's own tags; COPYs of one table added up. */
  tables: TableRows[];
  /** Settings that this server does not know, and that were left out. */
  notes: string[];
}

export interface LoadOptions {
  /** A manifest whose chunks are checked before they run; without one the file is read from its start as it is. */
  manifest: Manifest | undefined;
  progress: ReportProgress;
  signal: AbortSignal;
  /** Called once the tables, types and functions are there, and before any row is. */
  afterPreData?: () => Promise<void>;
}

/**
 * Runs a dump into a database, statement by statement, over one connection. The first error ends it.
 * @throws AgentError `RestoreFailed` naming statement and table; DumpError of a damaged or cut dump
 */
export async function loadDump(
  source: BackupSource,
  connection: Connection,
  options: LoadOptions,
): Promise<LoadResult> {
  // Ended with this connection: the rows are safe when the database is renamed into place, not before.
  await connection.query('SET synchronous_commit = off');
  const load = new Load(new SqlSession(connection), options);
  for await (const piece of piecesOf(source, options)) {
    options.signal.throwIfAborted();
    await load.take(piece);
  }
  return load.result();
}

function piecesOf({ opened, dumpKey }: BackupSource, { manifest, signal }: LoadOptions): AsyncIterable<DumpPiece> {
  const { store } = opened;
  if (manifest)
    return readChunks(manifest.chunks, async (offset, length) => store.get(dumpKey, { offset, length }, { signal }));
  return readDump(gunzip(lazily(async () => store.get(dumpKey, undefined, { signal }))));
}

async function* lazily(open: () => Promise<AsyncIterable<Uint8Array>>): AsyncGenerator<Uint8Array> {
  yield* await open();
}

class Load {
  readonly #session: SqlSession;
  readonly #options: LoadOptions;
  readonly #tables = new Map<string, TableRows>();
  readonly #notes: string[] = [];
  #preDataDone = false;
  #privilegesLeftOut = 0;
  #rawBytes = 0;
  #rows = 0;

  constructor(session: SqlSession, options: LoadOptions) {
    this.#session = session;
    this.#options = options;
  }

  async take(piece: DumpPiece): Promise<void> {
    if (piece.section !== 'pre-data' && !this.#preDataDone) {
      this.#preDataDone = true;
      await this.#options.afterPreData?.();
    }
    if (piece.kind === 'copy') await this.#copy(piece);
    else await this.#statement(piece.sql);
  }

  async #statement(sql: Buffer): Promise<void> {
    this.#rawBytes += sql.length;
    if (isServerLevel(sql)) {
      // pg_dump's own, where the dump was not made by us: about the database that it was made of, not about this one.
      if (setsPrivileges(sql)) {
        this.#privilegesLeftOut++;
        return;
      }
      throw serverLevel(headOf(sql));
    }
    try {
      await this.#session.run(sql);
    } catch (error) {
      const setting = unknownSetting(sql, error);
      if (setting !== undefined)
        this.#notes.push(`The server does not know the setting ${setting}, which was left out.`);
      else if (this.#mayLeaveOut(sql, error)) this.#privilegesLeftOut++;
      else throw this.#failure(error, headOf(sql));
    }
    this.#report();
  }

  /**
   * Dumps of others set owners and grants in their midst, for roles that may not be here or not ours to act for: the
   * rows are worth more than they. Ours hold none.
   */
  #mayLeaveOut(sql: Buffer, error: unknown): boolean {
    const refused = error instanceof Error && 'code' in error && ['42501', '42704'].includes(String(error.code));
    return refused && this.#options.manifest === undefined && setsPrivileges(sql);
  }

  async #copy(piece: Extract<DumpPiece, { kind: 'copy' }>): Promise<void> {
    const { schema, name } = piece.table;
    const key = JSON.stringify([schema, name]);
    const table = this.#tables.get(key) ?? { schema, name, rows: 0 };
    this.#tables.set(key, table);
    try {
      const { tag } = await this.#session.copyIn(piece.header, this.#counted(piece.rows, `${schema}.${name}`));
      const rows = Number(/^COPY (\d+)$/.exec(tag)?.[1] ?? 0);
      table.rows += rows;
      this.#rows += rows;
    } catch (error) {
      throw this.#failure(error, `COPY ${schema}.${name}`);
    }
    this.#report();
  }

  async *#counted(rows: AsyncIterable<Buffer>, table: string): AsyncGenerator<Buffer> {
    for await (const bytes of rows) {
      this.#options.signal.throwIfAborted();
      this.#rawBytes += bytes.length;
      this.#report(table);
      yield bytes;
    }
  }

  #report(table?: string): void {
    const { manifest, progress } = this.#options;
    progress({
      phase: 'restoring',
      rawBytes: this.#rawBytes,
      rows: this.#rows,
      ...(manifest ? { expectedRawBytes: manifest.object.rawBytes } : {}),
      ...(table === undefined ? {} : { table }),
    });
  }

  /** PostgreSQL's own errors get the statement's name; what reading threw is already clear. */
  #failure(error: unknown, statement: string): unknown {
    this.#options.signal.throwIfAborted();
    if (!(error instanceof Error) || !('severity' in error)) return error;
    const { message, where, detail } = error as Error & { where?: string; detail?: string };
    return new AgentError(
      'RestoreFailed',
      `PostgreSQL refused \`${statement}\`: ${message}${detail ? ` (${detail})` : ''}${where ? `, ${where}` : ''}.`,
      'The new database was dropped. Mend the cause on the target server, and restore again.',
      { cause: error },
    );
  }

  result(): LoadResult {
    const leftOut =
      this.#privilegesLeftOut === 0
        ? []
        : [
            `${this.#privilegesLeftOut} statements that set owners, grants or settings were left out: their roles are not here, or the restoring role may not act for them.`,
          ];
    return { tables: [...this.#tables.values()], notes: [...this.#notes, ...leftOut] };
  }
}

function serverLevel(statement: string): AgentError {
  return new AgentError(
    'RestoreFailed',
    `The dump holds \`${statement}\`, which is about the server and its other databases, not about the new one; it was not run.`,
    'A dump made with `pg_dump --create` or by pg_dumpall holds such statements: make it without, or restore it with psql on a server where nothing else is.',
  );
}

/** The name in a `SET name = …` that the server does not know (42704); undefined for every other error. */
function unknownSetting(sql: Buffer, error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || error.code !== '42704') return undefined;
  return /^\s*SET (\w+) = /.exec(sql.toString('latin1', 0, 200))?.[1];
}

/** The first line of a statement, at most 120 characters. */
function headOf(sql: Buffer): string {
  const text = sql.toString('utf8', 0, 400).trim().split('\n')[0] ?? '';
  return text.length > 120 ? `${text.slice(0, 117)}…` : text;
}
