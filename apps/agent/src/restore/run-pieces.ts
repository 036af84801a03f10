import type { DumpPiece, PostDataItem } from '@strideiq/dump';
import type { LoadSession } from './load-session.ts';

/** Runs a piece of a dump as it stands. */
export async function runPiece(session: LoadSession, piece: DumpPiece): Promise<void> {
  if (piece.kind === 'copy') await session.copy(piece.header, piece.table, piece.rows);
  else await session.run(piece.sql);
}

/** Runs an object's statements, each under the settings of its own place in the dump. */
export async function runItem(session: LoadSession, { statements }: PostDataItem): Promise<void> {
  for (const { sql, settings } of statements) {
    await session.set(settings);
    await session.run(sql);
  }
}
