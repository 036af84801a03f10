import { actionOf, commandKinds, commandSchema, type Command, type CommandEnvelope } from '@strideiq/protocol';
import { z } from 'zod';
import type { Host } from '../compose.ts';
import type { DatabaseConfiguration } from '../configuration/index.ts';
import type { Reason, TakenCommand } from '../journal/command-book.ts';

/** A command that this host will do. */
export interface Judged {
  command: Command;
  database: DatabaseConfiguration;
}

/** Whether a command is one that this host knows, is about a database of its own, and is allowed there by its own file. */
export function judgeCommand(host: Host, envelope: CommandEnvelope): Judged | { refusal: Reason } {
  const { kind, databaseId } = envelope;
  if (!commandKinds.some((known) => known === kind)) {
    return refusal('CommandUnsupported', `This agent does not know the command ${kind}. Upgrade it.`);
  }
  const parsed = commandSchema.safeParse(envelope);
  if (!parsed.success) {
    return refusal(
      'CommandInvalid',
      `The command is none of its kind: ${z.prettifyError(parsed.error).slice(0, 2000)}`,
    );
  }
  const database = host.databaseOfId(databaseId);
  if (!database) {
    return refusal(
      'DatabaseUnknown',
      `This host looks after no database ${databaseId}. Name it in its agent.yaml, or ask the host that does.`,
    );
  }
  const needed = actionOf(kind);
  if (!database.allow.some((action) => action === needed)) {
    return refusal(
      'ActionNotAllowed',
      `This host does not allow ${needed} from outside on ${database.name}. Add ${needed} to its \`allow\` in agent.yaml.`,
    );
  }
  return { command: parsed.data, database };
}

function refusal(code: string, text: string): { refusal: Reason } {
  return { refusal: { code, text } };
}

/** A command as it came, from the journal. */
export function envelopeOf({ id, runId, kind, databaseId, body, issuedAt, expiresAt }: TakenCommand): CommandEnvelope {
  const common = {
    commandId: id,
    kind,
    databaseId,
    body,
    issuedAt: new Date(issuedAt).toISOString(),
    expiresAt: new Date(expiresAt).toISOString(),
  };
  return runId === null ? common : { ...common, runId };
}
