import { newId } from '@strideiq/core';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Journal } from './journal.ts';
import { openJournal } from './open-journal.ts';

let directory = '';
let journal: Journal;
const now = Date.UTC(2026, 0, 11, 3);
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'strideiq-commands-'));
  journal = new Journal(openJournal(directory), () => now);
});
afterEach(() => {
  journal.close();
  rmSync(directory, { recursive: true, force: true });
});

const command = (kind = 'backup', body: object = {}) => ({
  commandId: newId(now),
  databaseId: '11111111-1111-5111-8111-111111111111',
  ...(kind === 'cancel' ? {} : { runId: newId(now) }),
  kind,
  body,
  issuedAt: new Date(now).toISOString(),
  expiresAt: new Date(now + 1000).toISOString(),
});
const ends = () => journal.outbox.batchAfter(0).flatMap(({ kind, body }) => (kind === 'command' ? [body] : []));

test('a command stands there once, across restarts, and ends once', () => {
  const one = command();
  expect(journal.commands.take(one)).toBe(true);
  const again = new Journal(openJournal(directory), () => now);
  expect(again.commands.take(one)).toBe(false);
  expect(again.commands.open()).toMatchObject([{ id: one.commandId, state: 'delivered', runId: one.runId }]);
  again.commands.acknowledged(one.commandId);
  again.commands.end(one.commandId, 'done');
  again.commands.end(one.commandId, 'expired', { code: 'CommandExpired', text: 'too late' });
  again.commands.acknowledged(one.commandId);
  expect(again.commands.get(one.commandId)?.state).toBe('done');
  expect(again.commands.open()).toEqual([]);
  expect(ends()).toEqual([{ commandId: one.commandId, state: 'done' }]);
  expect(again.commands.take(one)).toBe(false);
  again.close();
});

test('one that could still come again is known, however long ago it ended', () => {
  const one = { ...command(), expiresAt: new Date(now + 300 * 24 * 3_600_000).toISOString() };
  journal.commands.take(one);
  journal.commands.end(one.commandId, 'refused', { code: 'X', text: 'no' });
  const later = new Journal(openJournal(directory), () => now + 200 * 24 * 3_600_000);
  later.commands.prune();
  expect(later.commands.take(one)).toBe(false);
  later.close();
});

test('one that has expired has ended too, and is let go of like the others', () => {
  const one = command();
  journal.commands.take(one);
  journal.commands.end(one.commandId, 'expired', { code: 'CommandExpired', text: 'too late' });
  journal.commands.end(one.commandId, 'done');
  expect(journal.commands.get(one.commandId)).toMatchObject({ state: 'expired', endedAt: now });
  expect(ends().length).toBe(1);
  const year = 366 * 24 * 3_600_000;
  const later = new Journal(openJournal(directory), () => now + year);
  later.commands.prune();
  expect(later.commands.get(one.commandId)).toBeUndefined();
  later.close();
});

test('a refused one is written down with its reason and without its body', () => {
  const one = command('drill', { much: 'x'.repeat(1000) });
  const reason = { code: 'CommandUnsupported', text: 'not known' };
  journal.commands.take(one, reason);
  expect(journal.commands.get(one.commandId)).toMatchObject({ state: 'refused', code: 'CommandUnsupported', body: {} });
  expect(ends()).toEqual([{ commandId: one.commandId, state: 'refused', reason }]);
});

test('a run is known to be cancelled before it was heard of', () => {
  const runId = newId(now);
  expect(journal.commands.wasCancelled(runId)).toBe(false);
  journal.commands.take(command('cancel', { runId }));
  expect([journal.commands.wasCancelled(runId), journal.commands.wasCancelled(newId(now))]).toEqual([true, false]);
});

test('what is open is told for the moment at which all is delivered, and not otherwise', () => {
  const one = command();
  journal.commands.take(one);
  const run = newRun(one.databaseId);
  journal.begin({ ...run, detail: {} });
  const { lastSeq } = journal.outbox.position();
  const ids = [one.databaseId];
  expect(journal.openAt(lastSeq - 1, ids)).toBeUndefined();
  expect(journal.openAt(lastSeq, ids)).toEqual({ openRunIds: [run.id], openCommandIds: [one.commandId] });
  journal.finish(run.id, 'failed');
  journal.commands.end(one.commandId, 'done');
  expect(journal.openAt(journal.outbox.position().lastSeq, ids)).toEqual({ openRunIds: [], openCommandIds: [] });
});

test('a run that nobody will end is not told as open for ever, and neither is its command', () => {
  const one = command();
  const { runId = '', commandId, databaseId } = one;
  journal.commands.take(one);
  journal.begin({ ...newRun(databaseId), id: runId, detail: { commandId } });
  const { lastSeq } = journal.outbox.position();
  const open = { openRunIds: [runId], openCommandIds: [commandId] };
  const none = { openRunIds: [], openCommandIds: [] };
  // Its database was taken out of the host's file.
  expect([journal.openAt(lastSeq, [databaseId]), journal.openAt(lastSeq, [newId(1)])]).toEqual([open, none]);
  // Its store was, and it is tried again each minute for a week.
  const weekMs = 7 * 24 * 3_600_000;
  const later = new Journal(openJournal(directory), () => now + weekMs);
  expect(later.openAt(lastSeq, [databaseId])).toEqual(none);
  later.close();
});

const newRun = (databaseId: string) => ({
  id: newId(now),
  kind: 'backup' as const,
  environment: 'test',
  database: 'app',
  databaseId,
});
