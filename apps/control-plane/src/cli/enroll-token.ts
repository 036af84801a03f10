import { Enrolment } from '../enrolment/enrolment.ts';
import { withCatalog, type Command } from './run-command.ts';

/** `enroll-token`: by the catalog alone, so that it needs no key. */
export function enrollToken(command: Command, environment: string): number {
  const { output, now } = command;
  // Whoever is connected is the server's business; making a token ends no connection.
  const connections = { disconnect: () => undefined };
  const { token, expiresAt } = withCatalog(command, (catalog) =>
    new Enrolment({ catalog, now, connections }).createToken({ environment, by: 'local' }),
  );
  const until = new Date(expiresAt).toISOString();
  output.note(
    `For ${environment}; one use, until ${until}. On the host: strideiq-agent enroll --url URL --token TOKEN`,
  );
  output.result({ token, expiresAt: until, environment }, token);
  return 0;
}
