import { eq } from 'drizzle-orm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runLog } from '../catalog/schema.ts';
import { startReporting, type Reporting } from '../testing/reporting-host.ts';
import { mostLogLines } from './apply-log.ts';

let gateway: Reporting['gateway'];
let host: Reporting['host'];
let link: Reporting['link'];
let newRun: Reporting['newRun'];
let says: Reporting['says'];
let answersTo: Reporting['answersTo'];
beforeEach(async () => {
  ({ gateway, host, link, newRun, says, answersTo } = await startReporting());
});
afterEach(async () => await gateway.stop());

describe('a log', () => {
  const line = (text: string) => ({ at: '2026-11-24T08:00:00.000Z', level: 'info' as const, text });

  test('is kept in order, and of each run the newest lines', async () => {
    const [long, short] = [newRun(), newRun()];
    await link.send(says(long, 'running'), says(short, 'running'));
    await link.send(host.report('log', { runId: short, lines: [line('a'), line('b')] }));
    const batches = Math.ceil((mostLogLines + 250) / 100);
    for (let at = 0; at < batches; at++) {
      const lines = Array.from({ length: 100 }, (_, n) => line(String(at * 100 + n)));
      await link.send(host.report('log', { runId: long, lines }));
    }
    const textsOf = (runId: string) =>
      gateway.catalog
        .select()
        .from(runLog)
        .where(eq(runLog.runId, runId))
        .orderBy(runLog.seq)
        .all()
        .map(({ text }) => text);
    expect(textsOf(short)).toEqual(['a', 'b']);
    const texts = textsOf(long);
    expect(texts).toHaveLength(mostLogLines);
    expect(texts.at(-1)).toBe(String(batches * 100 - 1));
    expect(texts[0]).toBe(String(batches * 100 - mostLogLines));
  });

  test('of a run that is not known is not taken', async () => {
    expect(await answersTo(host.report('log', { runId: newRun(), lines: [line('x')] }))).toEqual(['NotOwner']);
    expect(gateway.catalog.select().from(runLog).all()).toEqual([]);
  });
});
