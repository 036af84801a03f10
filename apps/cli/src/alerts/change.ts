import type { ShownAlert } from '@strideiq/control-plane/router';
import { CliError } from '../errors.ts';
import { momentToCome } from '../keys/create.ts';
import { momentText } from '../moments.ts';
import { isId } from '../names/id.ts';
import type { Command } from '../run-command.ts';

/** `alerts acknowledge ALERT`: somebody has taken it on, and nobody is reminded. */
export async function acknowledgeAlert(command: Command, id: string, { note }: { note?: string }): Promise<number> {
  const said = { alertId: checkedId(id), ...(note === undefined ? {} : { note }) };
  return told(command, await command.client.alerts.acknowledge.mutate(said));
}

/** `alerts silence ALERT --until WHEN`: nobody is told of it before. */
export async function silenceAlert(
  command: Command,
  id: string,
  { until, note }: { until: string; note?: string },
): Promise<number> {
  const ends = momentToCome('--until', until, command.now());
  const said = { alertId: checkedId(id), until: ends, ...(note === undefined ? {} : { note }) };
  return told(command, await command.client.alerts.silence.mutate(said));
}

/** `alerts unsilence ALERT`: it is told of again. */
export async function unsilenceAlert(command: Command, id: string): Promise<number> {
  return told(command, await command.client.alerts.unsilence.mutate({ alertId: checkedId(id) }));
}

function told({ output }: Command, alert: ShownAlert): number {
  const { title, name, state, silencedUntil } = alert;
  const until = state === 'silenced' && silencedUntil !== null ? ` until ${momentText(silencedUntil)}` : '';
  output.result(alert, `${title}: ${name} is ${state}${until}.`);
  return 0;
}

function checkedId(id: string): string {
  if (isId(id)) return id;
  throw new CliError('UsageInvalid', `${JSON.stringify(id)} is no id of an alert.`, '`strideiq alerts` shows them.');
}
