import { CliError } from '../errors.ts';
import { listAll } from '../connection/pages.ts';
import { theOne } from '../names/choose.ts';
import { isId } from '../names/id.ts';
import type { Command } from '../run-command.ts';

/** `keys revoke KEY`: by its name or id, never by the key itself. */
export async function revokeKey({ client, output }: Command, reference: string): Promise<number> {
  if (reference.startsWith('siq_')) {
    throw new CliError(
      'UsageInvalid',
      'A key is revoked by its name or id, and not by itself: now it may stand in the history of your shell.',
      'strideiq keys list shows names and ids.',
    );
  }
  const keyId = isId(reference) ? reference : await idOf({ client, reference });
  const revoked = await client.keys.revoke.mutate({ keyId });
  output.result(revoked, `Revoked ${revoked.name} (${revoked.id}); it holds no more from now on.`);
  return 0;
}

async function idOf({ client, reference }: Pick<Command, 'client'> & { reference: string }): Promise<string> {
  const { items } = await listAll(async (page) => client.keys.list.query(page));
  const held = items.filter(({ revokedAt }) => revokedAt === null);
  const { id } = theOne('key', reference, {
    meant: held.filter(({ name }) => name === reference),
    all: held,
    named: ({ name, id: each }) => `${name} (${each})`,
    list: 'strideiq keys list',
  });
  return id;
}
