import type { StorePlan } from '@strideiq/control-plane/router';
import { findDatabase } from '../names/find-database.ts';
import type { Command } from '../run-command.ts';

/** `retention preview DATABASE`: what would stay, what would go, and why. */
export async function previewRetention({ client, output }: Command, reference: string): Promise<number> {
  const { id: databaseId } = await findDatabase(client, reference);
  const { stores } = await client.retention.preview.query({ databaseId });
  output.result({ stores }, stores.length === 0 ? 'It has no store yet.' : stores.map(planText).join('\n'));
  return 0;
}

export function planText({ name, location, by, waits, keep, remove }: StorePlan): string {
  const who = by === 'agent' ? 'by its agent' : 'by the control plane';
  return [
    `${name} (${location}), ${who}: ${keep.length} stay, ${remove.length} go`,
    ...(waits === null ? [] : [`  waits   ${waits}`]),
    ...keep.map(({ objectName, reasons }) => `  keep    ${objectName}  ${reasons.join('; ')}`),
    ...remove.map(({ objectName, reason }) => `  remove  ${objectName}  ${reason}`),
  ].join('\n');
}
