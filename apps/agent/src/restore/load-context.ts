import type { Connection } from '../postgres/connect.ts';
import type { BackupSource } from '../backups/resolve-reference.ts';
import type { About } from './left-out.ts';
import type { LoadSessions } from './load-sessions.ts';
import type { LoadTally } from './load-tally.ts';
import type { Selection, Wanted } from './selection.ts';

/** What the parts of a load share. */
export interface LoadContext {
  source: BackupSource;
  sessions: LoadSessions;
  tally: LoadTally;
  /** Aborted also when one of the sessions has failed. */
  signal: AbortSignal;
  stop: (error: unknown) => void;
  jobs: number;
  /** By a manifest; left out: all of it. */
  selection: Selection | undefined;
  /** Without a manifest: what `selection` will be once pre-data has said what there is. */
  wanted: Wanted | undefined;
  afterPreData: (connection: Connection) => Promise<void>;
  /** Whether large tables are analyzed as soon as they are done. */
  analyze: boolean;
  /** What is passed over, wherever it stands; of a dump with a manifest. */
  leavesOut: (about: About) => boolean;
}

/** Post-data that is longer is run as it comes. */
export const heldPostDataBytes = 64 * 1024 * 1024;
