/** A way in which we make a dump, or restore one. */
export interface OurRun {
  name: string;
  jobs: number;
  /** Of a dump: `compressionLevel`. */
  level?: number;
  /** Of a dump: as on a host that has no libdeflate. */
  byZlib?: boolean;
  /** Of a restore, as a drill does it: values are stored as lz4, which is not how the source has them. */
  lz4?: boolean;
  /** Of a restore: without the planner's statistics, as psql and pg_restore leave it. */
  withoutAnalyze?: boolean;
}

export const level4 = 'StrideIQ, level 4, 2 jobs';
export const level1 = 'StrideIQ, level 1, 2 jobs';

export const ourDumps: readonly OurRun[] = [
  { name: 'StrideIQ, level 4, 1 job', level: 4, jobs: 1 },
  { name: level4, level: 4, jobs: 2 },
  { name: 'StrideIQ, level 4, 4 jobs', level: 4, jobs: 4 },
  { name: 'StrideIQ, level 4, 2 jobs, by zlib', level: 4, jobs: 2, byZlib: true },
  { name: level1, level: 1, jobs: 2 },
  { name: 'StrideIQ, level 1, 2 jobs, by zlib', level: 1, jobs: 2, byZlib: true },
];

export const restore2 = 'StrideIQ restore, 2 jobs';
export const restore2Bare = 'StrideIQ restore, 2 jobs, without ANALYZE';
/** Its database is dropped once it has been looked at. */
export const drill = 'StrideIQ drill (lz4, without ANALYZE), 2 jobs';

export const ourRestores: readonly OurRun[] = [
  { name: 'StrideIQ restore, 1 job', jobs: 1 },
  { name: restore2, jobs: 2 },
  { name: restore2Bare, jobs: 2, withoutAnalyze: true },
  { name: 'StrideIQ restore, 4 jobs', jobs: 4 },
  { name: drill, jobs: 2, lz4: true, withoutAnalyze: true },
];
