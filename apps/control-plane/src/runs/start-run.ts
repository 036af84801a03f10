import { runStates } from '@strideiq/core';
import type { CommandKind } from '@strideiq/protocol';
import { eq } from 'drizzle-orm';
import { recordAudit } from '../audit/audit.ts';
import type { CatalogTransaction } from '../catalog/open-catalog.ts';
import { databases, runs } from '../catalog/schema.ts';
import { queueCommand, type NewCommand } from '../commands/queue-command.ts';
import type { News } from './news.ts';
import type { WorkIds } from './once.ts';
import type { Requester } from './requests.ts';

export interface NewRun<Kind extends CommandKind> {
  kind: 'backup' | 'verify' | 'restore' | 'drill';
  command: Omit<NewCommand<Kind>, 'commandId' | 'runId'>;
  requester: Requester;
  /** What was asked for, for people. */
  request: Record<string, unknown>;
  /** The backup that it reads. */
  backupId?: string;
}

/**
 * Makes a run, the command that begins it, and the entry in the audit of who asked for it.
 * @returns its id
 * @throws ControlPlaneError as `queueCommand` says
 */
export function startRun<Kind extends CommandKind>(
  tx: CatalogTransaction,
  news: News,
  { now, runId, commandId }: WorkIds,
  { kind, command, requester, request, backupId }: NewRun<Kind>,
): string {
  const { databaseId } = command;
  const agentId = queueCommand(tx, news, { ...command, commandId, runId }, now);
  tx.insert(runs)
    .values({
      id: runId,
      kind,
      databaseId,
      agentId,
      state: runStates.initial,
      commandId,
      requestedBy: requester.keyId,
      createdAt: now,
      backupId: backupId ?? null,
      request,
    })
    .run();
  const of = tx
    .select({ environment: databases.environment })
    .from(databases)
    .where(eq(databases.id, databaseId))
    .get();
  const detail = { runId, agentId, ...request };
  const subject = backupId ?? databaseId;
  recordAudit(tx, { actor: requester.keyId, action: `${kind}.request`, subject, detail, ...of }, now);
  news.runChanged(runId);
  return runId;
}
