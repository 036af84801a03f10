import type { Chunk, Manifest, TableRows } from '@strideiq/core';
import { readChunks, relationKey, type ChunkPiece, type FetchRange, type RelationName } from '@strideiq/dump';
import { dumpSessionSettings } from '../backup/lane.ts';
import type { BackupSource } from '../backups/resolve-reference.ts';
import { AgentError } from '../errors.ts';
import type { Connection } from '../postgres/connect.ts';
import { copyOut } from '../postgres/copy-out.ts';
import { ServerError } from '../postgres/server-error.ts';
import { SqlSession } from '../postgres/sql-session.ts';
import type { ReportProgress } from '../progress/progress.ts';
import { RowDigest } from './row-digest.ts';

/** Of a table too large to be read whole again nothing is sampled: its rows were counted. */
const mostTableBytes = 256 * 1024 * 1024;

export interface SamplesOptions {
  source: BackupSource;
  manifest: Manifest;
  /** To the restored database. */
  connection: Connection;
  /** About so many rows in all. */
  rows: number;
  /** From 0 to 1; draws the tables. */
  random: () => number;
  progress: ReportProgress;
  signal: AbortSignal;
}

/** What was looked at, and was the same. */
export interface Sampled {
  tables: number;
  rows: number;
  /** What could not be looked at. */
  notes: string[];
}

/**
 * Compares tables drawn by lot with the dump, row by row: what the restored database writes out again is what was read in.
 * @throws AgentError `RowsDiffer` naming the table
 */
export async function compareSamples(options: SamplesOptions): Promise<Sampled> {
  const { manifest, connection, progress, signal } = options;
  const sampled: Sampled = { tables: 0, rows: 0, notes: [] };
  const drawn = draw(options, await ordinaryTables(connection));
  await connection.query(dumpSessionSettings);
  await connection.query("SELECT set_config('client_encoding', $1, false)", [manifest.source.encoding]);
  for (const table of drawn) {
    signal.throwIfAborted();
    progress({ phase: 'sampling', table: `${table.schema}.${table.name}`, rows: sampled.rows });
    try {
      await compareTable(options, table);
      sampled.tables += 1;
      sampled.rows += table.rows;
    } catch (error) {
      // 42501: a policy forced on its owner, or an owner whose rights the restoring role has not.
      if (!(error instanceof ServerError && error.code === '42501')) throw error;
      sampled.notes.push(
        `The restoring role may not read ${table.schema}.${table.name}, whose rows were only counted.`,
      );
    }
  }
  return sampled;
}

async function compareTable(options: SamplesOptions, table: TableRows): Promise<void> {
  const { connection } = options;
  const dumped = new RowDigest();
  let header: CopyText | undefined;
  for await (const copy of copiesOf(options, table)) {
    header ??= copyText(copy.header);
    for await (const rows of copy.rows) dumped.add(rows);
  }
  const restored = header
    ? await digestOf(connection, `COPY ${header.name} ${header.rest} TO STDOUT`)
    : new RowDigest();
  if (dumped.text === restored.text) return;
  const again = header && dumped.rows === restored.rows ? await loadedAgain(options, table, header) : dumped;
  if (again.text !== restored.text) throw rowsDiffer(table, dumped, restored);
}

/**
 * The dump's rows as this very session writes them: a dump spells moments in its server's time zone, and money and bytes
 * as that server is set, which this one need not be.
 */
async function loadedAgain(options: SamplesOptions, table: TableRows, { name, rest }: CopyText): Promise<RowDigest> {
  const { connection } = options;
  const session = new SqlSession(connection);
  await session.run(Buffer.from(`CREATE TEMPORARY TABLE strideiq_sample (LIKE ${name})`, 'latin1'));
  try {
    const here = Buffer.from(`COPY pg_temp.strideiq_sample ${rest} FROM stdin`, 'latin1');
    for await (const copy of copiesOf(options, table)) await session.copyIn(here, copy.rows);
    return await digestOf(connection, `COPY pg_temp.strideiq_sample ${rest} TO STDOUT`);
  } finally {
    await session.run(Buffer.from('DROP TABLE IF EXISTS pg_temp.strideiq_sample'));
  }
}

/**
 * Tables whose rows COPY writes as they were loaded: not those that are made of others, nor those of extensions, which
 * fill them by themselves too.
 */
async function ordinaryTables(connection: Connection): Promise<Set<string>> {
  const { rows } = await connection.query<RelationName>(
    `SELECT n.nspname AS schema, c.relname AS name
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'r'
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')`,
  );
  return new Set(rows.map(relationKey));
}

/** Tables in an order drawn by lot, until there are rows enough; one alone may have more. */
function draw({ manifest, rows: wanted, random }: SamplesOptions, ordinary: ReadonlySet<string>): TableRows[] {
  const bytes = bytesByTable(manifest);
  const candidates = manifest.tables
    .filter((table, at) => table.rows > 0 && (bytes.get(at) ?? 0) <= mostTableBytes && ordinary.has(relationKey(table)))
    .map((table) => ({ table, place: random() }))
    .toSorted((one, other) => one.place - other.place);
  const drawn: TableRows[] = [];
  let rows = 0;
  for (const { table } of candidates) {
    if (rows >= wanted) break;
    if (drawn.length > 0 && rows + table.rows > wanted * 2) continue;
    drawn.push(table);
    rows += table.rows;
  }
  return drawn;
}

/** Of SQL, in all chunks that hold rows of a table: what has to be read for it. */
function bytesByTable({ chunks }: Manifest): Map<number, number> {
  const bytes = new Map<number, number>();
  for (const { rows = [], rawLength } of chunks) {
    for (const { table } of rows) bytes.set(table, (bytes.get(table) ?? 0) + rawLength);
  }
  return bytes;
}

/** The COPYs of one table in the dump, in their order. */
async function* copiesOf({ source, manifest, signal }: SamplesOptions, table: TableRows): AsyncGenerator<CopyPiece> {
  const place = manifest.tables.indexOf(table);
  const chunks: Chunk[] = manifest.chunks.filter(({ rows = [] }) => rows.some((held) => held.table === place));
  const fetch: FetchRange = async (offset, length) =>
    source.opened.store.get(source.dumpKey, { offset, length }, { signal });
  const settings = { standardStrings: true, clientEncoding: manifest.source.encoding };
  const key = relationKey(table);
  for await (const piece of readChunks(chunks, fetch, { settings })) {
    if (piece.kind === 'copy' && relationKey(piece.table) === key) yield piece;
  }
}

type CopyPiece = Extract<ChunkPiece, { kind: 'copy' }>;

/** A COPY's relation and columns, one character a byte: names may be in any encoding. */
interface CopyText {
  name: string;
  /** The columns in parentheses; empty for a table without any. */
  rest: string;
}

const copyHeader = /^\s*COPY ((?:"(?:[^"]|"")*"|[^\s"(])+)\s*(.*?)\s*FROM stdin;\s*$/s;

/** @param header as pg_dump writes it */
function copyText(header: Buffer): CopyText | undefined {
  const [, name, rest = ''] = copyHeader.exec(header.toString('latin1')) ?? [];
  return name === undefined ? undefined : { name, rest };
}

async function digestOf(connection: Connection, copy: string): Promise<RowDigest> {
  const digest = new RowDigest();
  await copyOut(connection, Buffer.from(copy, 'latin1'), (bytes, from, to) => {
    digest.add(bytes.subarray(from, to));
    return undefined;
  });
  return digest;
}

function rowsDiffer({ schema, name }: TableRows, dumped: RowDigest, restored: RowDigest): AgentError {
  const counts = dumped.rows === restored.rows ? 'as many, but not the same' : `${restored.rows} of ${dumped.rows}`;
  return new AgentError(
    'RowsDiffer',
    `The rows of ${schema}.${name} in the restored database are not those of the dump: ${counts}.`,
    'Look for triggers, rules or types of an extension that change rows as they are loaded; verify the backup, and drill another one.',
  );
}
