import type { Surroundings } from '../run-command.ts';
import { contextOf } from './connection.ts';
import { readCredentials, writeCredentials } from './credentials-file.ts';
import { CliError } from '../errors.ts';

/** `logout [--context NAME]`: forgets a key. The key itself goes on to hold. */
export async function logout(
  { output, credentialsFile }: Surroundings,
  options: { context?: string },
): Promise<number> {
  const credentials = readCredentials(credentialsFile, (text) => output.warn(text));
  const name = options.context ?? credentials.current;
  if (name === undefined) throw new CliError('NotFound', 'Nobody is logged in.', 'There is nothing to forget.');
  const { url } = contextOf(credentials, name);
  const { [name]: _, ...contexts } = credentials.contexts;
  const current = credentials.current === name ? undefined : credentials.current;
  writeCredentials(credentialsFile, { version: 1, ...(current === undefined ? {} : { current }), contexts });
  output.result(
    { context: name, url },
    `Logged out of ${url} (${name}). The key itself still holds; an admin ends it with: strideiq keys revoke`,
  );
  return 0;
}
