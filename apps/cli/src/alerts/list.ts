import type { ShownAlert } from '@strideiq/control-plane/router';
import { durationText, table } from '@strideiq/terminal';
import { listAll } from '../connection/pages.ts';
import { listed, type ListOptions } from '../listed.ts';
import { momentText } from '../moments.ts';
import { findDatabase } from '../names/find-database.ts';
import type { Command } from '../run-command.ts';

export interface AlertsOptions extends ListOptions {
  database?: string;
  history?: boolean;
}

/** `alerts [--history]`: what is wrong now, or what was too; the newest first. */
export async function alerts(command: Command, options: AlertsOptions): Promise<number> {
  const { client, output, now } = command;
  const { environment, database, history = false } = options;
  const databaseId = database === undefined ? undefined : (await findDatabase(client, database)).id;
  const filter = {
    show: history ? ('all' as const) : ('open' as const),
    ...(environment === undefined ? {} : { environment }),
    ...(databaseId === undefined ? {} : { databaseId }),
  };
  const found = await listAll(async (page) => client.alerts.list.query({ ...page, ...filter }), options.limit);
  const kind = history ? 'alert' : 'open alert';
  return listed(output, found, { kind, text: (items) => alertsTable(items, now()) });
}

export function alertsTable(items: readonly ShownAlert[], now: number): string {
  return table(
    ['SEVERITY', 'ALERT', 'ABOUT', 'STATE', 'SINCE', 'FOR', 'WHAT', 'ID'],
    items.map((alert) => [
      alert.severity,
      alert.title,
      alert.environment === null ? alert.name : `${alert.environment}/${alert.name}`,
      stateText(alert),
      momentText(alert.openedAt),
      durationText(Date.parse(alert.resolvedAt ?? new Date(now).toISOString()) - Date.parse(alert.openedAt), 0),
      alert.text,
      alert.id,
    ]),
  );
}

function stateText({ state, silencedUntil, note }: ShownAlert): string {
  const until = state === 'silenced' && silencedUntil !== null ? ` until ${momentText(silencedUntil)}` : '';
  return `${state}${until}${note === null ? '' : ` (${note})`}`;
}
