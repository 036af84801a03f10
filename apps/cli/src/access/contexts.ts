import { table } from '@strideiq/terminal';
import { CliError } from '../errors.ts';
import type { Surroundings } from '../run-command.ts';
import { contextOf } from './connection.ts';
import { readCredentials, writeCredentials } from './credentials-file.ts';

/** `contexts [NAME]`: what `login` has kept; with a name, the one that is meant from now on. */
export async function contexts({ output, credentialsFile }: Surroundings, name: string | undefined): Promise<number> {
  let credentials = readCredentials(credentialsFile, (text) => output.warn(text));
  if (name !== undefined) {
    contextOf(credentials, name);
    credentials = { ...credentials, current: name };
    writeCredentials(credentialsFile, credentials);
  }
  const items = Object.entries(credentials.contexts).map(([each, { url }]) => ({
    name: each,
    url,
    current: each === credentials.current,
  }));
  if (items.length === 0) {
    throw new CliError('NotFound', 'Nobody is logged in.', 'strideiq login --url URL makes a context.');
  }
  output.result(
    { items },
    table(
      ['', 'CONTEXT', 'URL'],
      items.map((each) => [each.current ? '*' : '', each.name, each.url]),
    ),
  );
  return 0;
}
