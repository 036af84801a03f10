import type { BackupComparison } from '../comparison.ts';
import type { Policy } from '../policy.ts';
import type { RunState } from '../states.ts';

/** Moments are milliseconds since 1970; sizes are bytes. */

/** A backup that has succeeded, and is no safety backup. */
export interface GoodBackup {
  id: string;
  /** When it was finished; never later than it was told of. */
  endedAt: number;
  /** Moment that its data are of. */
  dataAt: number;
  bytes: number;
  /** With the one before it; null where nobody has compared them. */
  comparison: BackupComparison | null;
}

export interface EndedRun {
  state: RunState;
  endedAt: number;
  error: string | null;
}

/** A run that is still to come to its end. */
export interface OpenRun {
  id: string;
  kind: string;
  /** Null before its host has begun it. */
  startedAt: number | null;
  /** When something of it moved last. */
  movedAt: number;
}

/** One of a database's stores, as its host still names it. */
export interface StoreFacts {
  id: string;
  name: string;
  type: 'directory' | 's3';
  firstSeenAt: number;
  /** Room; undefined where nobody knows just now, or the store does not say. */
  freeBytes: number | undefined;
  /** Why its host cannot use it; undefined where it can; null where nobody knows just now. */
  error: string | undefined | null;
  /** Of the newest backup's copy there, where it could not be stored: why. */
  copyFailed: string | undefined;
  /** Copies that were found damaged or gone, and were neither mended nor removed since: a sentence for each. */
  damaged: readonly string[];
  /** When the newest copy that was read back there was; null: none was. */
  verifiedAt: number | null;
  /** Since when the newest copy that stands there was not read back; null where it was. */
  newestUnverifiedAt: number | null;
  /** Of the oldest copy that stands there, since when it is known. */
  oldestCopyAt: number | null;
  /** Moment of the newest data in a copy that stands there. */
  newestDataAt: number | null;
  /** Why nothing is removed there; null where nothing speaks against it, or nobody knows. */
  retentionWaits: string | null;
  /** Beside what `damaged` tells: what there is that nobody put there, and what is merely strange. */
  drift: { wrong: readonly string[]; strange: readonly string[] };
}

/** How long restores take, as they were measured. */
export interface MeasuredRestores {
  /** Of the last drill that counts for it. */
  wholeMs: number | undefined;
  /** Of the last restore of named tables. */
  tablesMs: number | undefined;
}

/** All that rules ask of a database. */
export interface DatabaseFacts {
  id: string;
  name: string;
  policy: Policy;
  /** When the policy came into force. */
  policySince: number;
  firstSeenAt: number;
  /** Since when its agent is connected; undefined where it is not. */
  connectedSince: number | undefined;
  /** Newest first; ten at most. */
  good: readonly GoodBackup[];
  lastBackup: EndedRun | undefined;
  /** When the newest backup run was begun, whatever became of it. */
  lastBegunAt: number | undefined;
  lastDrill: EndedRun | undefined;
  lastGoodDrillAt: number | undefined;
  openRuns: readonly OpenRun[];
  /** Median milliseconds of the last good runs of a kind; undefined where there were too few. */
  usualMs: (kind: string) => number | undefined;
  measured: MeasuredRestores;
  /** Why its agent cannot log in; undefined where it can; null where nobody knows just now. */
  serverError: string | undefined | null;
  /** Why no pg_dump of the host fits; as above. */
  pgDumpProblem: string | undefined | null;
  stores: readonly StoreFacts[];
}
