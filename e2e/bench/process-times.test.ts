import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { parseStat, sumOfTree, treeCpuMs, waitedCpuMs } from './process-times.ts';

const stat = (name: string, parent: number, times: string) =>
  `42 (${name}) S ${parent} 42 42 0 -1 4194304 900 0 0 0 ${times} 20 0 1 0 800 9000000 700`;

test('a line of /proc/PID/stat is read behind the name, whatever that holds', () => {
  for (const name of ['postgres', 'a b', 'x) S 1 2 (y', '']) {
    expect(parseStat(stat(name, 7, '1 20 300 4000'))).toEqual({ parent: 7, own: 21, waited: 4300 });
  }
});

test('a tree holds what descends from its root, and no one else', () => {
  const stats = new Map([
    [1, { parent: 0, own: 1, waited: 1 }],
    [10, { parent: 1, own: 2, waited: 30 }],
    [11, { parent: 10, own: 4, waited: 0 }],
    [12, { parent: 11, own: 8, waited: 5 }],
    [20, { parent: 1, own: 1000, waited: 1000 }],
  ]);
  expect(sumOfTree(10, stats)).toBe(490);
  expect(sumOfTree(12, stats)).toBe(130);
  expect(sumOfTree(13, stats)).toBe(0);
});

test.runIf(process.platform === 'linux')('a child that has ended is counted, with what it had started itself', () => {
  const [before = 0, treeBefore = 0] = [waitedCpuMs(), treeCpuMs(process.pid)];
  spawnSync('sh', ['-c', 'sh -c "i=0; while [ \\$i -lt 200000 ]; do i=\\$((i + 1)); done"; exit 0']);
  expect(waitedCpuMs()).toBeGreaterThanOrEqual(before + 30);
  expect(treeCpuMs(process.pid)).toBeGreaterThanOrEqual(treeBefore + 30);
  expect(treeCpuMs(2 ** 30)).toBeUndefined();
});
