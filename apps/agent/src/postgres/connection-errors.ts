import { AgentError } from '../errors.ts';
import { describeEndpoint, type Endpoint } from './endpoint.ts';
import { quoteIdentifier } from './identifiers.ts';

/** Turns what `pg`, the socket or the server said of a connection that failed into one paragraph with a cure. */
export function connectionError(error: unknown, endpoint: Endpoint): AgentError {
  if (error instanceof AgentError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const said = messageOf(error);
  const { code: agentCode, what, cure } = judge(code, said, endpoint);
  return new AgentError(agentCode, what, cure, { cause: error });
}

interface Judgement {
  code: AgentError['code'];
  what: string;
  cure: string;
}

/** By SQLSTATE (PostgreSQL docs, appendix A) where the server spoke. */
function judge(code: string, said: string, endpoint: Endpoint): Judgement {
  const where = describeEndpoint(endpoint);
  const { database, host, port, user } = endpoint;
  switch (code) {
    case '3D000':
      return {
        code: 'DatabaseMissing',
        what: `There is no database ${JSON.stringify(database)} at ${host}:${port}.`,
        cure: 'List what is there with `psql -l`, and correct `connection.database` (or the name after the last slash of the URL).',
      };
    case '55000':
      return {
        code: 'DatabaseClosed',
        what: `The database ${JSON.stringify(database)} at ${host}:${port} lets nobody in: ${said}.`,
        cure: `As a superuser run: ALTER DATABASE ${quoteIdentifier(database)} ALLOW_CONNECTIONS true;`,
      };
    case '42501':
      return {
        code: 'PrivilegeMissing',
        what: `The role ${user} may not connect to the database ${JSON.stringify(database)} at ${host}:${port}: ${said}.`,
        cure: `As a superuser run: GRANT CONNECT ON DATABASE ${quoteIdentifier(database)} TO ${quoteIdentifier(user)};`,
      };
    case '53300':
      return {
        code: 'ServerUnreachable',
        what: `PostgreSQL at ${where} takes no more connections: ${said}.`,
        cure: 'End sessions that nobody needs (`SELECT pid, state, application_name FROM pg_stat_activity`), or raise max_connections or the CONNECTION LIMIT of role and database. A backup takes up to four, and one more for each of `dump.jobs`.',
      };
    case '57P03':
      return {
        code: 'ServerUnreachable',
        what: `PostgreSQL at ${where} lets nobody in now: ${said}.`,
        cure: 'It is starting, stopping or recovering: wait until `pg_isready` with the same host and port says that it accepts connections.',
      };
  }
  if (code === '28P01' || code === '28000' || /password|SASL/i.test(said)) {
    const why = /SASL|must be a string/.test(said) && endpoint.password === undefined ? 'it asks for a password' : said;
    return {
      code: 'LoginRefused',
      what: `PostgreSQL refused the login ${where}: ${why}.`,
      cure: cureOfLogin(said, endpoint),
    };
  }
  return {
    code: 'ServerUnreachable',
    what: `No connection to PostgreSQL at ${where}: ${said}.`,
    cure: 'Check that the server runs and listens there, and that host, port and sslmode are right: `pg_isready` with the same host and port tells.',
  };
}

function cureOfLogin(said: string, { user, password, host }: Endpoint): string {
  if (/pg_hba\.conf/.test(said)) {
    return 'Add a line for this user, database and address to the server’s pg_hba.conf, and let it be read: SELECT pg_reload_conf();';
  }
  if (/not permitted to log in/.test(said)) return `As a superuser run: ALTER ROLE ${quoteIdentifier(user)} LOGIN;`;
  if (/^role .* does not exist/.test(said)) {
    return `Correct \`connection.user\` (or the name before the @ of the URL), or create the role: CREATE ROLE ${quoteIdentifier(user)} LOGIN;`;
  }
  if (/[Pp]eer authentication/.test(said)) {
    return `Over the socket in ${host} the server lets in only the system’s user of the same name: run the agent as ${user}, or connect by TCP with a password.`;
  }
  return password === undefined
    ? 'No password was given: name a `passwordFile` in agent.yaml, or set PGPASSWORD or PGPASSFILE.'
    : 'The password that was given is not this role’s: correct it where it is kept (`passwordFile`, `urlFile`, PGPASSWORD), and try it with psql.';
}

function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.map(messageOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
