import { newId } from '@strideiq/core';
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AgentError } from '../errors.ts';
import { Journal, type NewRun } from './journal.ts';
import { openJournal } from './open-journal.ts';
import { thisProcess } from './process-identity.ts';
import type { SealedBackup } from './schema.ts';
import { loadSigningKey } from './signing-key.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'strideiq-journal-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

const newRun = (): NewRun => {
  const databaseId = '11111111-1111-5111-8111-111111111111';
  return { id: newId(Date.now()), kind: 'backup', environment: 'test', database: 'app', databaseId, detail: {} };
};

function withJournal<T>(work: (journal: Journal) => T): T {
  const journal = new Journal(openJournal(directory), Date.now);
  try {
    return work(journal);
  } finally {
    journal.close();
  }
}

describe('a run', () => {
  test('is there with its outcome when the journal is opened again', () => {
    const run = newRun();
    withJournal((journal) => {
      journal.begin(run);
      journal.finish(run.id, 'succeeded', { bytes: 5 });
    });
    expect(withJournal((journal) => journal.get(run.id))).toMatchObject({ state: 'succeeded', detail: { bytes: 5 } });
  });

  test('that throws is failed, with code and text, and the error goes on', async () => {
    const run = newRun();
    const journal = new Journal(openJournal(directory), Date.now);
    const failure = new AgentError('DumpFailed', 'It broke.', 'Mend it.');
    await expect(
      journal.record(
        run,
        () => Promise.reject(failure),
        () => ({ warnings: ['left'] }),
      ),
    ).rejects.toBe(failure);
    expect(journal.get(run.id)).toMatchObject({
      state: 'failed',
      errorCode: 'DumpFailed',
      error: 'It broke. Mend it.',
      detail: { warnings: ['left'] },
    });
    journal.close();
  });

  test('that was interrupted is cancelled', async () => {
    const run = newRun();
    const journal = new Journal(openJournal(directory), Date.now);
    await expect(journal.record(run, () => Promise.reject(new AgentError('Interrupted', 'Ctrl-C.')))).rejects.toThrow(
      'Ctrl-C.',
    );
    expect(journal.get(run.id)?.state).toBe('cancelled');
    journal.close();
  });

  test('cannot leave its last state', () => {
    const run = newRun();
    withJournal((journal) => {
      journal.begin(run);
      journal.finish(run.id, 'failed');
      expect(() => journal.finish(run.id, 'succeeded')).toThrow(/cannot go from failed to succeeded/);
    });
  });
});

describe('an abandoned run', () => {
  test('is none while its process lives', () => {
    const run = newRun();
    withJournal((journal) => {
      journal.begin(run);
      expect(journal.left.abandoned([run.databaseId])).toEqual([]);
    });
  });

  test('is none for a day where its process is in another container', () => {
    const run = newRun();
    const db = openJournal(directory);
    const startedAt = Date.now();
    new Journal(db, () => startedAt).begin(run);
    const owner = { ...thisProcess(), pid: 2 ** 22 + 1, pidNamespace: 'pid:[1]' };
    db.$client.prepare('UPDATE runs SET owner = ?').run(JSON.stringify(owner));
    const found = (now: number) => new Journal(db, () => now).left.abandoned([run.databaseId]).length;
    expect([found(startedAt + 60_000), found(startedAt + 25 * 60 * 60 * 1000)]).toEqual([0, 1]);
    db.$client.close();
  });

  test('is found at once by the next daemon where it was the daemon’s: only one at a time has the journal', () => {
    const asked = { ...newRun(), detail: { commandId: newId(1) } };
    const db = openJournal(directory);
    const journal = new Journal(db, Date.now);
    journal.begin(asked);
    journal.begin({ ...newRun(), id: newId(2) });
    db.$client.prepare('UPDATE runs SET owner = ?').run(JSON.stringify({ ...thisProcess(), pidNamespace: 'pid:[1]' }));
    const { left } = journal;
    const ids = [asked.databaseId];
    expect(left.abandoned(ids, new Set()).map(({ id }) => id)).toEqual([asked.id]);
    expect(left.abandoned(ids, new Set([asked.id]))).toEqual([]);
    expect(left.abandoned(ids)).toEqual([]);
    journal.close();
  });

  test.each([
    ['another start of the machine', { bootId: 'another' }],
    ['a process id that was given away again', { startTicks: thisProcess().startTicks + 1 }],
    ['a process that is gone', { pid: 2 ** 22 + 1 }],
  ])('is found after %s, and adopted once', (_, owner) => {
    const run = newRun();
    const db = openJournal(directory);
    const journal = new Journal(db, Date.now);
    journal.begin(run);
    db.$client.prepare('UPDATE runs SET owner = ?').run(JSON.stringify({ ...thisProcess(), ...owner }));
    const [found] = journal.left.abandoned([run.databaseId]);
    if (!found) throw new Error('not found');
    expect(journal.left.abandoned(['22222222-2222-5222-8222-222222222222'])).toEqual([]);
    expect([journal.left.adopt(found), journal.left.adopt(found)]).toEqual([true, false]);
    journal.close();
  });
});

const sealed: SealedBackup = {
  objectName: 'app_20260111_030000.sql.gz',
  bytes: 10,
  rawBytes: 100,
  sha256: '0'.repeat(64),
  manifestSha256: '1'.repeat(64),
  rows: 5,
  tables: 2,
  snapshotAt: '2026-01-11T03:00:00.000Z',
  serverVersion: '15.8',
  pgDumpVersion: '15.8',
  databaseBytes: 1000,
  hasPrivileges: true,
};

test('a manifest is known by its hash, also when the run is over', () => {
  const run = newRun();
  withJournal((journal) => {
    journal.begin(run);
    const seal = {
      runId: run.id,
      backupId: 'b',
      manifest: '{}',
      manifestSha256: 'h',
      privileges: Buffer.from('p'),
      globals: Buffer.from('g'),
    };
    journal.seal(seal, sealed);
    expect(journal.sealOf(run.id)).toEqual(seal);
    journal.finish(run.id, 'succeeded');
    expect(journal.sealOf(run.id)).toMatchObject({ manifest: '', privileges: null, globals: null });
    expect([journal.knowsManifest('b', 'h'), journal.knowsManifest('b', 'x'), journal.knowsManifest('x', 'h')]).toEqual(
      [true, false, false],
    );
  });
});

test('eight first starts at once end with one journal and one key', async () => {
  const script = `
    const { openJournal } = await import(${JSON.stringify(join(import.meta.dirname, 'open-journal.ts'))});
    const { loadSigningKey } = await import(${JSON.stringify(join(import.meta.dirname, 'signing-key.ts'))});
    const key = loadSigningKey(${JSON.stringify(directory)});
    openJournal(${JSON.stringify(directory)}).$client.close();
    process.stdout.write(key.publicPem);`;
  const start = async () => promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
  const keys = await Promise.all(Array.from({ length: 8 }, async () => (await start()).stdout));
  expect(new Set(keys)).toEqual(new Set([loadSigningKey(directory).publicPem]));
  expect(
    readdirSync(directory).filter((name) => !/^(journal\.db|migration\.lock|signing-key\.pem)/.test(name)),
  ).toEqual([]);
  expect(statSync(join(directory, 'signing-key.pem')).mode & 0o777).toBe(0o600);
});

test.each(['/dev/null', '/dev/null/below', '/proc/nothing/here'])(
  'a state directory that cannot be is told: %s',
  (path) => {
    expect(() => openJournal(path)).toThrow(expect.objectContaining({ code: 'StateUnusable' }) as Error);
  },
);
