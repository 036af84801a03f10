import { CliError } from '../errors.ts';
import { momentText } from '../moments.ts';
import type { Command } from '../run-command.ts';

/** `enroll-token --environment NAME`: by which a host enrols, once. */
export async function enrollToken(
  { client, connection, output }: Command,
  { environment }: { environment?: string },
): Promise<number> {
  if (environment === undefined) {
    throw new CliError('UsageInvalid', 'A token for which environment?', 'Name it with --environment NAME.');
  }
  const made = await client.enrolTokens.create.mutate({ environment });
  const { token, expiresAt } = made;
  output.result(made, token);
  output.note(
    `It enrols one host of ${environment}, until ${momentText(expiresAt)}. There:\n` +
      `  strideiq-agent enroll --url ${connection.url} --token ${token}`,
  );
  return 0;
}
