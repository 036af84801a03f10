import type { AuditEntry } from '@strideiq/control-plane/router';
import { table } from '@strideiq/terminal';
import { listAll } from '../connection/pages.ts';
import { listed, type ListOptions } from '../listed.ts';
import { momentText } from '../moments.ts';
import type { Command } from '../run-command.ts';

export interface AuditOptions extends ListOptions {
  verify?: boolean;
  actor?: string;
  action?: string;
  subject?: string;
}

/** `audit [--verify]`: who did what, the newest first; or whether the chain holds. */
export async function audit(command: Command, options: AuditOptions): Promise<number> {
  const { client, output } = command;
  if (options.verify) return verify(command);
  const { environment, actor, action, subject } = options;
  const filter = {
    ...(environment === undefined ? {} : { environment }),
    ...(actor === undefined ? {} : { actor }),
    ...(action === undefined ? {} : { action }),
    ...(subject === undefined ? {} : { subject }),
  };
  const found = await listAll(async (page) => client.audit.list.query({ ...page, ...filter }), options.limit);
  return listed(output, found, { kind: 'entry of the audit', text: auditTable });
}

export function auditTable(items: readonly AuditEntry[]): string {
  return table(
    ['SEQ', 'TIME', 'ACTOR', 'ACTION', 'ENVIRONMENT', 'SUBJECT', 'DETAIL'],
    items.map(({ seq, at, actor, action, environment, subject, detail }) => [
      String(seq),
      momentText(at),
      actor,
      action,
      environment ?? '-',
      subject ?? '-',
      detailText(detail),
    ]),
    [0],
  );
}

function detailText(detail: Record<string, unknown>): string {
  return Object.entries(detail)
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ');
}

async function verify({ client, output }: Command): Promise<number> {
  const found = await client.audit.verify.query({});
  const { whole, brokenSeq, entries, lastHash } = found;
  output.result(
    found,
    whole
      ? `The audit is whole: ${entries.toLocaleString('en')} entries, the last hash is ${lastHash ?? 'none'}.`
      : `The audit is broken at entry ${brokenSeq}: it, or the one before it, is not as it was written.`,
  );
  return whole ? 0 : 1;
}
