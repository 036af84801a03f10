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

export type ReportProgress = (progress: Progress) => void;
