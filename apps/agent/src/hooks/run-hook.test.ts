import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from '@strideiq/testkit';
import { afterAll, expect, test } from 'vitest';
import { runHook, type HookRun } from './run-hook.ts';

const directory = mkdtempSync(join(tmpdir(), 'strideiq-hook-'));
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

const sh = (script: string) => ['sh', '-c', script];

async function hook(commands: readonly string[][], more: Partial<HookRun> = {}) {
  const lines: string[] = [];
  const run = {
    runId: 'r1',
    database: 'app',
    target: 'App',
    backupId: 'b1',
    limitMs: 20_000,
    say: (line: string) => lines.push(line),
  };
  const failure = await runHook('beforeSwap', commands, { ...run, ...more }).then(
    () => undefined,
    (error: unknown) => error as Error,
  );
  return { lines, failure };
}

test('its commands run one after another, and what they print is told', async () => {
  const { lines, failure } = await hook([sh('echo one; echo two >&2'), ['printf', 'no newline']]);
  expect(failure).toBeUndefined();
  expect(lines.toSorted()).toEqual(['beforeSwap: no newline', 'beforeSwap: one', 'beforeSwap: two']);
});

test('no shell reads its words', async () => {
  expect((await hook([['echo', '$HOME', '; echo no', '`id`']])).lines).toEqual(['beforeSwap: $HOME ; echo no `id`']);
});

test('it is told what it is about', async () => {
  const { lines } = await hook([sh('env | grep -E "^STRIDEIQ_(BACKUP|DATABASE|HOOK|OUTCOME|RUN|TARGET)" | sort')], {
    outcome: 'kept',
  });
  expect(lines).toEqual([
    'beforeSwap: STRIDEIQ_BACKUP_ID=b1',
    'beforeSwap: STRIDEIQ_DATABASE=app',
    'beforeSwap: STRIDEIQ_HOOK=beforeSwap',
    'beforeSwap: STRIDEIQ_OUTCOME=kept',
    'beforeSwap: STRIDEIQ_RUN_ID=r1',
    'beforeSwap: STRIDEIQ_TARGET=App',
  ]);
});

test('the first that fails ends it, and the end of what it printed is told', async () => {
  const { lines, failure } = await hook([sh('seq 1 10; exit 3'), sh('echo never')]);
  expect(failure).toMatchObject({ code: 'HookFailed' });
  expect(failure?.message).toMatch(/"sh" of hooks\.beforeSwap ended with 3\. .* 6 \/ 7 \/ 8 \/ 9 \/ 10/);
  expect(lines).not.toContain('beforeSwap: never');
});

test('one that cannot be started, and one that a signal ends', async () => {
  expect((await hook([['/no/such/program']])).failure?.message).toMatch(/could not be started: .*ENOENT/);
  expect((await hook([sh('kill -9 $$')])).failure?.message).toContain('was ended by SIGKILL');
});

test('past its limit it is ended with all that it has started', async () => {
  const pidFile = join(directory, 'pid');
  const { failure } = await hook([sh(`sleep 1000 & echo $! > ${pidFile}; wait`)], { limitMs: 500 });
  expect(failure?.message).toContain('did not end within 0.5 s');
  const pid = Number(readFileSync(pidFile, 'utf8'));
  await waitFor('its child to be gone', () => !existsSync(`/proc/${pid}`) || isZombie(pid));
});

const isZombie = (pid: number) => / Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));

test('the limit is of all its commands together', async () => {
  const { failure } = await hook([sh('exec sleep 0.4'), ['sleep', '1000']], { limitMs: 600 });
  expect(failure?.message).toContain('"sleep" of hooks.beforeSwap did not end');
});

test('an interrupt ends it with the interrupt’s own reason', async () => {
  const stop = new AbortController();
  const hooked = hook([sh('echo begun; sleep 1000')], {
    signal: stop.signal,
    say: () => stop.abort(new Error('enough')),
  });
  expect((await hooked).failure?.message).toBe('enough');
});

test('what it leaves behind may hold its output', async () => {
  const { failure, lines } = await hook([sh('sleep 30 & echo started')]);
  expect(failure).toBeUndefined();
  expect(lines).toEqual(['beforeSwap: started']);
});

test('of a hook that prints without end some lines are told', async () => {
  const { lines, failure } = await hook([sh('seq 1 5000; exit 1')]);
  expect(lines).toHaveLength(201);
  expect(failure?.message).toContain('4999 / 5000');
});

test('it is not led to the server of the agent’s own environment', async () => {
  process.env['PGHOST'] = 'production.example';
  process.env['PGDATABASE'] = 'production';
  try {
    const { lines } = await hook([sh('echo host=$PGHOST database=$PGDATABASE')], {
      environment: { PGHOST: 'scratch' },
    });
    expect(lines).toEqual(['beforeSwap: host=scratch database=']);
  } finally {
    delete process.env['PGHOST'];
    delete process.env['PGDATABASE'];
  }
});
