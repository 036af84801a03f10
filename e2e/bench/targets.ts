import type { OneTable } from './one-table.ts';
import { drill, level1, level4, restore2, restore2Bare } from './our-runs.ts';
import type { Result } from './rounds.ts';
import { toDirectory, toS3 } from './s3-suite.ts';
import { gzip6, pgRestore, pigz1, pigz6, psql, psqlAnalyze } from './stock-tools.ts';

/** What a run has found out; suites that were not asked for are missing. */
export interface Findings {
  dump?: Result[];
  restore?: Result[];
  s3?: Result[];
  oneTable?: OneTable;
}

export interface Target {
  suite: 'dump' | 'restore' | 's3';
  what: string;
  /** A ratio, or megabytes. */
  unit: 'ratio' | 'MB';
  most: number;
  /** Undefined where what it compares did not take part. */
  measured: (findings: Findings) => number | undefined;
}

const named = (results: Result[] | undefined, name: string) => results?.find((result) => result.name === name);

const dumped =
  (figure: 'wallRatio' | 'bytesRatio' | 'cpuRatio', ours: string, other: string) =>
  ({ dump }: Findings) =>
    named(dump, ours)?.[figure](named(dump, other));

const megabytes = (bytes: number | undefined): number | undefined => (bytes === undefined ? undefined : bytes / 1e6);

const level4ByZlib = `${level4}, by zlib`;

/** What the engine is to reach, on two cores. */
export const targets: readonly Target[] = [
  ...dumpTargets('level 4', level4, 0.24, 1.04),
  ...dumpTargets('level 1', level1, 0.18, 1.15),
  ...dumpTargets('level 4, by zlib', level4ByZlib, 0.24, 1.04),
  {
    suite: 'dump',
    what: `level 4, wall against \`${pigz6}\``,
    unit: 'ratio',
    most: 1,
    measured: dumped('wallRatio', level4, pigz6),
  },
  {
    suite: 'dump',
    what: `level 1, wall against \`${pigz1}\``,
    unit: 'ratio',
    most: 1,
    measured: dumped('wallRatio', level1, pigz1),
  },
  {
    suite: 'dump',
    what: `level 4, CPU of client and server against \`${gzip6}\``,
    unit: 'ratio',
    most: 0.34,
    measured: dumped('cpuRatio', level4, gzip6),
  },
  {
    suite: 'dump',
    what: `further: level 4 by libdeflate, wall against \`${gzip6}\``,
    unit: 'ratio',
    most: 0.17,
    measured: dumped('wallRatio', level4, gzip6),
  },
  {
    suite: 'dump',
    what: `further: level 4 by libdeflate, CPU against \`${gzip6}\``,
    unit: 'ratio',
    most: 0.25,
    measured: dumped('cpuRatio', level4, gzip6),
  },
  {
    suite: 'dump',
    what: "the agent's peak memory, to a directory",
    unit: 'MB',
    most: 160,
    measured: ({ dump }) => megabytes(named(dump, level4)?.median('peakBytes')),
  },
  restoreTarget('wall', restore2, psql, 0.66),
  restoreTarget('wall', restore2, pgRestore, 1),
  restoreTarget('the same work, both with ANALYZE: wall', restore2, psqlAnalyze, 0.66),
  restoreTarget('the same work, both without ANALYZE: wall', restore2Bare, psql, 0.66),
  restoreTarget('the same work, both without ANALYZE: wall', restore2Bare, pgRestore, 1),
  restoreTarget('a drill, wall', drill, psql, 0.56),
  restoreTarget('further: wall', restore2, psql, 0.58),
  restoreTarget('further: a drill, wall', drill, psql, 0.5),
  {
    suite: 's3',
    what: 'level 4 to S3, wall against the same to a directory',
    unit: 'ratio',
    most: 1.15,
    measured: ({ s3 }) => named(s3, toS3(level4))?.wallRatio(named(s3, toDirectory(level4))),
  },
  {
    suite: 's3',
    what: "the agent's peak memory, to S3",
    unit: 'MB',
    most: 200,
    measured: ({ s3 }) => megabytes(named(s3, toS3(level4))?.median('peakBytes')),
  },
  {
    suite: 's3',
    what: 'a table of about 1 % restored from S3, bytes read of the object',
    unit: 'ratio',
    most: 0.03,
    measured: ({ oneTable }) => oneTable && oneTable.readBytes / oneTable.objectBytes,
  },
];

function restoreTarget(what: string, ours: string, other: string, most: number): Target {
  return {
    suite: 'restore',
    what: `${what} against \`${other}\``,
    unit: 'ratio',
    most,
    measured: ({ restore }) => named(restore, ours)?.wallRatio(named(restore, other)),
  };
}

function dumpTargets(what: string, ours: string, wall: number, bytes: number): Target[] {
  return [
    {
      suite: 'dump',
      what: `${what}, wall against \`${gzip6}\``,
      unit: 'ratio',
      most: wall,
      measured: dumped('wallRatio', ours, gzip6),
    },
    {
      suite: 'dump',
      what: `${what}, bytes against \`${gzip6}\``,
      unit: 'ratio',
      most: bytes,
      measured: dumped('bytesRatio', ours, gzip6),
    },
  ];
}
