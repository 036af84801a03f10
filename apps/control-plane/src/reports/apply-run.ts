import { runStates, type RunState } from '@strideiq/core';
import type { RunReport } from '@strideiq/protocol';
import { and, eq } from 'drizzle-orm';
import { backups, runs } from '../catalog/schema.ts';
import { recordBackup } from '../backups/record-backup.ts';
import { isOpen } from '../runs/open-states.ts';
import { moveRun, stepsBySaid, type RunRow } from '../runs/move-run.ts';
import { notOwned, ownCommandOrUnknown, ownDatabase, ownRunOrNew } from './owned.ts';
import type { Reported } from './reported.ts';

/**
 * A run began, or ended. One that the host began by itself is new; one that was asked for is known. What is older than
 * what is known changes nothing.
 */
export function applyRun(report: Reported, said: RunReport): void {
  const { tx, news, agentId, now } = report;
  const { runId, databaseId, commandId, state } = said;
  ownDatabase(tx, agentId, databaseId);
  const known = ownRunOrNew(tx, agentId, runId);
  if (known && known.databaseId !== databaseId) notOwned('run', runId);
  const command = commandId === undefined ? undefined : ownCommandOrUnknown(tx, agentId, commandId);
  if (command && command.runId !== runId) notOwned('command', command.id);
  const run = known ?? insertNew(report, said);
  const steps = known ? stepsBySaid(known.state, state) : wayTo(state);
  if (steps.length === 0) return;
  const made = said.backup && recordBackup(report, said.backup, { runId, databaseId, ended: !isOpen(state) });
  const backupId = made?.id ?? run.backupId ?? drilledOf(report, said);
  moveRun(tx, news, run, steps, { now, ...toldBy(said, made?.warnings ?? []), backupId });
}

/** What a drill that the host began by itself has restored: only of its own database, of which it may speak. */
function drilledOf({ tx }: Reported, { drill, databaseId }: RunReport): string | null {
  if (drill === undefined) return null;
  const own = and(eq(backups.id, drill.backupId), eq(backups.databaseId, databaseId));
  return tx.select({ id: backups.id }).from(backups).where(own).get()?.id ?? null;
}

/** A run that the host began has passed the states before. */
function wayTo(state: RunState): RunState[] {
  return runStates.path(runStates.initial, state) ?? [];
}

function insertNew({ tx, agentId, now }: Reported, { runId, kind, databaseId, commandId }: RunReport): RunRow {
  return tx
    .insert(runs)
    .values({
      id: runId,
      kind,
      databaseId,
      agentId,
      state: runStates.initial,
      commandId: commandId ?? null,
      createdAt: now,
    })
    .returning()
    .get();
}

function toldBy(said: RunReport, warnings: string[]): Partial<RunRow> {
  const { startedAt, finishedAt, error, restore, drill } = said;
  return {
    hostStartedAt: Date.parse(startedAt),
    ...(finishedAt === undefined ? {} : { hostFinishedAt: Date.parse(finishedAt) }),
    errorCode: error?.code ?? null,
    error: error?.text ?? null,
    outcome: {
      warnings: [...said.warnings, ...warnings],
      ...(restore === undefined ? {} : { restore }),
      ...(drill === undefined ? {} : { drill }),
    },
  };
}
