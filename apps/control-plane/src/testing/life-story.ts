import { newId } from '@strideiq/core';
import type { Report, ReportBodies, ReportedBackup } from '@strideiq/protocol';
import fc from 'fast-check';
import type { TestHost } from './host.ts';
import { madeBackup, runBody } from './reports.ts';

/** One thing that happens on a host; `which` draws among what there is. */
export interface Act {
  what: 'begin' | 'log' | 'cancel' | 'succeed' | 'fail' | 'find' | 'contradict' | 'odd' | 'foreign';
  which: number;
}

export const acts: fc.Arbitrary<Act[]> = fc.array(
  fc.record({
    what: fc.constantFrom<Act['what'][]>(
      'begin',
      'begin',
      'log',
      'cancel',
      'succeed',
      'succeed',
      'fail',
      'find',
      'find',
      'contradict',
      'odd',
      'foreign',
    ),
    which: fc.nat(),
  }),
  { minLength: 1, maxLength: 40 },
);

interface Run {
  runId: string;
  state: 'running' | 'cancelling' | 'ended';
}

/** What a host writes to its journal when these things happen to it, in their order. */
export function journalOf(host: TestHost, story: readonly Act[]): Report[] {
  const written: Report[] = [];
  const runs: Run[] = [];
  const backups: ReportedBackup[] = [];
  const pick = <T>(from: readonly T[], which: number): T | undefined => from[which % Math.max(from.length, 1)];
  const say = (runId: string, state: ReportBodies['run']['state'], more: Partial<ReportBodies['run']> = {}) =>
    written.push(host.report('run', runBody(host, runId, state, { warnings: [`${written.length}`], ...more })));
  for (const { what, which } of story) {
    const going = pick(
      runs.filter(({ state }) => state !== 'ended'),
      which,
    );
    if (what === 'begin') {
      const run: Run = { runId: newId(which % 2 ** 40), state: 'running' };
      runs.push(run);
      say(run.runId, 'running');
    } else if (what === 'log' && runs.length > 0) {
      const lines = [{ at: '2026-11-24T07:59:30.000Z', level: 'info' as const, text: `line ${written.length}` }];
      written.push(host.report('log', { runId: pick(runs, which)?.runId ?? '', lines }));
    } else if (what === 'cancel' && going) {
      if (going.state === 'running') say(going.runId, 'cancelling');
      else say(going.runId, 'cancelled');
      going.state = going.state === 'running' ? 'cancelling' : 'ended';
    } else if (what === 'succeed' && going) {
      const backup = madeBackup(host, { backupId: newId(which % 2 ** 40) });
      backups.push(backup);
      say(going.runId, 'succeeded', { backup });
      going.state = 'ended';
    } else if (what === 'fail' && going) {
      say(going.runId, 'failed', { error: { code: 'DumpFailed', text: 'no' } });
      going.state = 'ended';
    } else if (what === 'find' && backups.length > 0) {
      written.push(host.report('copy', finding(host, pick(backups, which), which)));
    } else if (what === 'contradict' && runs.length > 0) {
      const run = pick(runs, which);
      if (run?.state === 'ended') say(run.runId, which % 2 === 0 ? 'failed' : 'succeeded');
    } else if (what === 'odd') {
      const kind = which % 2 === 0 ? 'run' : 'forecast';
      written.push({ ...host.report('log', { runId: newId(1), lines: [] }), kind, body: { which } });
    } else if (what === 'foreign') {
      say(newId(which % 2 ** 40), 'running', { databaseId: newId(1) });
    }
  }
  return written;
}

function finding(host: TestHost, backup: ReportedBackup | undefined, which: number): ReportBodies['copy'] {
  const states = ['verified', 'corrupt', 'missing'] as const;
  return {
    databaseId: host.databaseId(),
    backupId: backup?.backupId ?? '',
    storeId: host.storeId(which % 2),
    key: backup?.objectName ?? '',
    state: states[which % 3] ?? 'verified',
  };
}
