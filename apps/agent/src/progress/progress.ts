/** How far long work is. Bytes and rows count from the beginning of the phase. */
export interface Progress {
  phase:
    | 'preparing'
    | 'dumping'
    | 'privileges'
    | 'storing'
    | 'reading'
    | 'restoring'
    | 'analyzing'
    | 'comparing'
    | 'sampling'
    | 'asserting'
    | 'stopping'
    | 'swapping'
    | 'starting'
    | 'clearing';
  /** Bytes of SQL so far, and about how many there will be. */
  rawBytes?: number;
  expectedRawBytes?: number;
  /** Compressed bytes so far. */
  bytes?: number;
  rows?: number;
  /** The table under way. */
  table?: string;
}

/** The phases in the words of people. */
export const phaseWords: Record<Progress['phase'], string> = {
  preparing: 'Preparing',
  dumping: 'Dumping',
  privileges: 'Reading owners and grants',
  storing: 'Storing the last bytes',
  reading: 'Reading back',
  restoring: 'Restoring',
  analyzing: 'Gathering statistics',
  comparing: 'Comparing',
  sampling: 'Comparing rows one by one',
  asserting: 'Asking your assertions',
  stopping: 'Running beforeSwap',
  swapping: 'Swapping',
  starting: 'Running afterSwap and the health check',
  clearing: 'Clearing',
};

/**
 * How much of a phase is done, 0 to 1; undefined where nobody can tell. The size on disk only tells about how much SQL
 * there will be: never that it is done before it is.
 */
export function fractionOf({ rawBytes = 0, expectedRawBytes }: Progress): number | undefined {
  return expectedRawBytes ? Math.min(0.99, rawBytes / expectedRawBytes) : undefined;
}

export type ReportProgress = (progress: Progress) => void;
