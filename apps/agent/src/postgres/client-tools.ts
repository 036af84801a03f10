import { access, constants } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { AgentError } from '../errors.ts';
import { startChild, type ChildProcess } from './child-process.ts';
import type { Endpoint } from './endpoint.ts';

/** The programs of PostgreSQL that we run. */
export type ToolName = 'pg_dump' | 'pg_dumpall';

/** A tool that was found, with its version as it prints it (`15.20`) and its major. */
export interface Tool {
  path: string;
  version: string;
  major: number;
}

/**
 * Finds a tool: in `pgDump` where it is named, a folder or pg_dump itself, else the one of PATH and of the usual installation folders whose
 * major is the server's or the next newer; behind `exec` the other side's PATH decides.
 * @throws AgentError `PgDumpMissing` with the places looked at; `PgDumpTooOld` where all are older than the server
 */
export async function findTool(
  name: ToolName,
  endpoint: Endpoint,
  serverMajor: number,
  pgDump?: string,
): Promise<Tool> {
  if (endpoint.exec.length > 0) {
    const found = await versionOf(name, [...endpoint.exec, name]);
    return newEnough(found ? [found] : [], name, serverMajor, [endpoint.exec.join(' ')]);
  }
  const places =
    pgDump === undefined
      ? searchPath(serverMajor, endpoint.path)
      : [pgDump.endsWith('/pg_dump') ? dirname(pgDump) : pgDump];
  const found: Tool[] = [];
  for (const place of places) {
    const path = join(place, name);
    if (!(await isExecutable(path))) continue;
    const tool = await versionOf(path, [path]);
    if (tool && tool.major >= serverMajor) return tool;
    if (tool) found.push(tool);
  }
  return newEnough(found, name, serverMajor, places);
}

/** Debian's, RPM's and Homebrew's folders beside PATH: cron's PATH holds none of them. */
function searchPath(serverMajor: number, path: string | undefined): string[] {
  const majors = Array.from({ length: 6 }, (_, at) => serverMajor + at);
  return [
    ...(path ?? '').split(delimiter).filter((place) => place !== ''),
    ...majors.flatMap((major) => [
      `/usr/lib/postgresql/${major}/bin`,
      `/usr/pgsql-${major}/bin`,
      `/opt/homebrew/opt/postgresql@${major}/bin`,
    ]),
  ];
}

function newEnough(found: Tool[], name: string, serverMajor: number, places: string[]): Tool {
  const best = found.toSorted((a, b) => b.major - a.major)[0];
  if (!best) {
    throw new AgentError(
      'PgDumpMissing',
      `${name} was found in none of: ${places.join(', ')}.`,
      `Install the PostgreSQL ${serverMajor} client (Debian: postgresql-client-${serverMajor}), or name its folder as \`dump.pgDump\`.`,
    );
  }
  if (best.major < serverMajor) {
    throw new AgentError(
      'PgDumpTooOld',
      `The server is PostgreSQL ${serverMajor}, and the newest ${name} here is ${best.version} (${best.path}), which cannot dump it.`,
      `Install the PostgreSQL ${serverMajor} client (Debian: postgresql-client-${serverMajor}), or name its folder as \`dump.pgDump\`.`,
    );
  }
  return best;
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** How long a tool may take to say its version: behind `exec` the other side may hang. */
const versionLimitMs = 20_000;

/** @throws AgentError `PgDumpMissing` where it says nothing in time */
async function versionOf(path: string, command: readonly string[]): Promise<Tool | undefined> {
  const child = startChild([...command, '--version']);
  child.stdin.end();
  let late = false;
  const limit = setTimeout(() => {
    late = true;
    void child.stop();
  }, versionLimitMs);
  try {
    const text = Buffer.concat(await child.stdout.toArray()).toString();
    await child.ended;
    const match = /\(PostgreSQL\) (\d+)(\S*)/.exec(text);
    return match ? { path, version: `${match[1]}${match[2]}`, major: Number(match[1]) } : undefined;
  } catch (error) {
    if (!late) throw error;
    throw new AgentError(
      'PgDumpMissing',
      `\`${command.join(' ')} --version\` has not answered for ${versionLimitMs / 1000} s, and was ended.`,
      'Run it by hand: the container or host behind `dump.exec` may hang, or wait for a password.',
    );
  } finally {
    clearTimeout(limit);
  }
}

/**
 * Behind `exec` our environment does not arrive, and an argument would be seen in the process list: the password goes
 * as the first line of standard input to a fixed script that runs the tool in its own place.
 */
const passwordScript = 'IFS= read -r PGPASSWORD && export PGPASSWORD && exec "$0" "$@"';

/** Starts a tool on the endpoint's database. The password reaches it by environment or standard input, never by argv. */
export function startTool(
  tool: Tool,
  endpoint: Endpoint,
  args: readonly string[],
  options: { applicationName: string },
): ChildProcess {
  const conninfo = `dbname=${conninfoValue(endpoint.database)} application_name=${conninfoValue(options.applicationName)}`;
  const where = [
    `--host=${endpoint.host}`,
    `--port=${endpoint.port}`,
    `--username=${endpoint.user}`,
    '--no-password',
    `--dbname=${conninfo}`,
  ];
  if (endpoint.exec.length > 0) {
    const command = [tool.path, ...where, ...args];
    if (endpoint.password === undefined) {
      const child = startChild([...endpoint.exec, ...command]);
      child.stdin.end();
      return child;
    }
    const child = startChild([...endpoint.exec, 'sh', '-c', passwordScript, ...command]);
    child.stdin.end(`${endpoint.password}\n`);
    return child;
  }
  const child = startChild([tool.path, ...where, ...args], libpqEnvironment(endpoint));
  child.stdin.end();
  return child;
}

/** The variables by which libpq, and with it psql, finds a database; without effect behind `exec`. */
export function libpqEnvironment(endpoint: Endpoint): NodeJS.ProcessEnv {
  const { host, port, user, database, sslmode, sslrootcert, sslcert, sslkey, options, password } = endpoint;
  const environment = {
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: user,
    PGDATABASE: database,
    PGSSLMODE: sslmode ?? 'prefer',
    PGSSLROOTCERT: sslrootcert,
    PGSSLCERT: sslcert,
    PGSSLKEY: sslkey,
    PGOPTIONS: options,
    PGPASSWORD: password,
    PGCONNECT_TIMEOUT: '20',
  };
  return Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== undefined));
}

/** Quoting of a value in a libpq connection string (libpq, "Connection Strings"). */
function conninfoValue(value: string): string {
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
