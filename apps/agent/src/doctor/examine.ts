import { CodedError, paragraphOf } from '@strideiq/core';
import { memberCompressor } from '@strideiq/dump';
import { isDeepStrictEqual } from 'node:util';
import prettyBytes from 'pretty-bytes';
import { within } from '../backup/within.ts';
import { checkPrivileges, readServerFacts, type ServerFacts } from '../backup/preflight.ts';
import type { Host } from '../compose.ts';
import { storesOf, type DatabaseConfiguration } from '../configuration/index.ts';
import { mayReadPasswords } from '../backup/globals.ts';
import { readContents } from '../inventory/read-contents.ts';
import { policyOf } from '../policies/kept-policies.ts';
import { findTool } from '../postgres/client-tools.ts';
import { connect, endConnection, type Connection } from '../postgres/connect.ts';
import { matchingTables } from '../postgres/table-patterns.ts';
import type { OpenedStore } from '../stores/opened-store.ts';
import { claimPrefix } from '../stores/prefix-owner.ts';

/** One line of the doctor's. */
export interface Finding {
  level: 'ok' | 'warn' | 'fail';
  /** What was looked at: `running_app: connection`. */
  subject: string;
  text: string;
  /** What to do; empty where all is well. */
  cure: string;
}

/** A clock further off than this makes names and schedules misleading. */
const mostClockOffsetMs = 60_000;
/** Longer than every limit that a look has by itself. */
const lookLimitMs = 120_000;
const leastFreeBytes = 10_000_000_000;

/** Looks at everything that a backup of this database needs, and goes on past what fails. */
export async function examine(host: Host, database: DatabaseConfiguration): Promise<Finding[]> {
  const doctor = new Doctor(database.name);
  const connection = await doctor.look('connection', async () => {
    const opened = await connect(await host.endpointOf(database), { applicationName: 'strideiq-doctor' });
    return { value: opened, text: 'PostgreSQL answers' };
  });
  if (connection) {
    try {
      await examineServer(doctor, host, database, connection);
    } finally {
      await endConnection(connection);
    }
  }
  for (const placed of storesOf(host.configuration, database)) {
    const opened = await doctor.look(`store ${placed.name}`, async () => {
      const [store] = await host.storesOf(database, [placed.name]);
      if (!store) throw new Error(`${placed.name} could not be opened`);
      const databaseId = host.databaseIdOf(database);
      const owner = { environment: host.configuration.environment, database: database.name, databaseId };
      await claimPrefix(store, owner, host.journal.copies.hasStoredIn(databaseId, store.store.storeId));
      return { value: store, text: `${store.store.location} can be written and read` };
    });
    if (opened) {
      await examineStore(doctor, opened);
      examineDrift(doctor, host, opened);
    }
  }
  if (database.heartbeat) {
    await doctor.look('heartbeat', async () => {
      const { host: service } = await host.heartbeats.urlOf(database);
      return { value: service, text: `${service} is told of backups; nothing was said to it now` };
    });
  }
  await examineCompressor(doctor);
  examinePolicy(doctor, host, database);
  return doctor.findings;
}

class Doctor {
  readonly findings: Finding[] = [];
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  say(level: Finding['level'], what: string, text: string, cure = ''): void {
    this.findings.push({ level, subject: `${this.#name}: ${what}`, text, cure });
  }

  /** One look: its text where it went well, the error's own words and cure where it did not. */
  async look<T>(what: string, look: () => Promise<{ value: T; text: string }>): Promise<T | undefined> {
    return this.attempt(what, async () => {
      const { value, text } = await look();
      this.say('ok', what, text);
      return value;
    });
  }

  /** A look that says by itself what there is to say; one that is refused or hangs ends no report. */
  async attempt<T>(what: string, look: () => Promise<T>): Promise<T | undefined> {
    try {
      return await within(look(), {
        limitMs: lookLimitMs,
        late: () => new Error(`no answer for ${lookLimitMs / 1000} s`),
      });
    } catch (error) {
      if (error instanceof CodedError) this.say('fail', what, error.message, error.cure);
      else this.say('fail', what, paragraphOf(error));
      return undefined;
    }
  }
}

async function examineServer(
  doctor: Doctor,
  host: Host,
  database: DatabaseConfiguration,
  connection: Connection,
): Promise<void> {
  const facts = await doctor.look('server', async () => {
    const value = await readServerFacts(connection);
    const role = value.standby ? 'a standby' : 'a primary';
    return {
      value,
      text: `PostgreSQL ${value.version}, ${role}, ${prettyBytes(value.databaseBytes)}, ${value.encoding}`,
    };
  });
  if (!facts) return;
  for (const name of ['pg_dump', 'pg_dumpall'] as const) {
    await doctor.look(name, async () => {
      const tool = await findTool(name, await host.endpointOf(database), facts.major, database.dump.pgDump);
      return { value: tool, text: `${tool.version} (${tool.path})` };
    });
  }
  await examineDatabase(doctor, database, connection, facts);
  await doctor.look('clock', async () => {
    const { rows } = await connection.query<{ now: Date }>('SELECT clock_timestamp() AS now');
    const offsetMs = (rows[0]?.now.getTime() ?? 0) - host.surroundings.now();
    if (Math.abs(offsetMs) > mostClockOffsetMs) {
      throw new Error(`the server's clock is ${Math.round(offsetMs / 1000)} s off this host's; let both follow NTP`);
    }
    return { value: true, text: 'agrees with the server’s' };
  });
}

async function examineDatabase(
  doctor: Doctor,
  database: DatabaseConfiguration,
  connection: Connection,
  facts: ServerFacts,
): Promise<void> {
  await doctor.look('privileges', async () => {
    await checkPrivileges(connection, facts, await matchingTables(connection, database.dump.excludeTables));
    return { value: true, text: `${facts.user} can read everything that a backup holds` };
  });
  await doctor.attempt('passwords', async () => {
    const { passwordsIn } = await readContents(connection);
    if (passwordsIn.length === 0) return;
    doctor.say(
      'warn',
      'passwords',
      `a backup holds the password in ${passwordsIn.join(', ')}`,
      'Who can read the backups can read it: use a passfile or passwordless login on that server where you can.',
    );
  });
  await doctor.attempt('globals', async () => {
    if (!database.dump.rolePasswords) return;
    if (await mayReadPasswords(connection)) {
      doctor.say(
        'warn',
        'globals',
        'each backup’s NAME.globals.sql.gz holds the password hashes of all roles of the server',
        'dump.rolePasswords asks for it. See that nobody reads the stores who is not to log in as any of them.',
      );
    } else {
      doctor.say(
        'fail',
        'globals',
        `dump.rolePasswords asks for the passwords of roles, and ${facts.user} may not read them`,
        'Back up as a superuser or a member of pg_read_all_data, or take the key out: all else of the globals is in each backup anyway.',
      );
    }
  });
  await doctor.attempt('restores', async () => {
    const { rows } = await connection.query<{ creates: boolean }>(
      'SELECT rolcreatedb OR rolsuper AS creates FROM pg_roles WHERE rolname = current_user',
    );
    if (rows[0]?.creates !== false) return;
    doctor.say(
      'warn',
      'restores',
      `${facts.user} may not create databases, so this host cannot restore with it`,
      `ALTER ROLE "${facts.user}" CREATEDB;`,
    );
  });
}

async function examineStore(doctor: Doctor, { name, store }: OpenedStore): Promise<void> {
  await doctor.attempt(`disk of ${name}`, async () => {
    const free = await store.freeBytes();
    if (free === undefined) return;
    const level = free < leastFreeBytes ? 'warn' : 'ok';
    doctor.say(
      level,
      `disk of ${name}`,
      `${prettyBytes(free)} free`,
      level === 'ok' ? '' : 'Less than 10 GB: make room, or keep fewer backups there.',
    );
  });
  await doctor.attempt(`leftovers in ${name}`, async () => {
    let left = 0;
    for await (const unfinished of store.unfinished()) if (unfinished.key !== '') left++;
    if (left === 0) return;
    doctor.say(
      'warn',
      `leftovers in ${name}`,
      `${left} unfinished uploads`,
      'The next backup clears those of killed runs; others may be under way.',
    );
  });
}

async function examineCompressor(doctor: Doctor): Promise<void> {
  const { name } = await memberCompressor();
  const faster =
    'libdeflate does the same in less time and space: install it (Debian: libdeflate0; Homebrew: libdeflate).';
  doctor.say('ok', 'compression', `by ${name}`, name === 'zlib' ? faster : '');
}

/** By what the database is looked after, where the host's file does not have the last word. */
function examinePolicy(doctor: Doctor, host: Host, database: DatabaseConfiguration): void {
  const { version, problem } = host.policies.of(host.databaseIdOf(database));
  const { file } = host.policies;
  const said = file.databases[database.name];
  if (problem !== undefined) {
    doctor.say('fail', 'policy', problem, 'Put the policy right there (`strideiq policy set`), or this file.');
  }
  if (version !== undefined) {
    const isSame = said !== undefined && isDeepStrictEqual(policyOf(said), policyOf(database));
    const text = `version ${version} of the control plane's`;
    if (isSame) doctor.say('ok', 'policy', text);
    else {
      doctor.say(
        'warn',
        'policy',
        `${text}; what this file says of schedule and retention is another, and is not gone by`,
        `Change it there: \`strideiq policy set ${database.name}\`, or with --from-host to take what stands here.`,
      );
    }
  }
}

/** What differed when the daemon compared the store with the journal. */
function examineDrift(doctor: Doctor, host: Host, { name, store }: OpenedStore): void {
  const survey = host.journal.surveys.of(store.storeId);
  if (!survey || survey.items.length === 0) return;
  const shown = survey.items.slice(0, mostDriftShown).map(({ text }) => text);
  const more = survey.items.length - shown.length;
  doctor.say(
    'warn',
    `contents of ${name}`,
    [...shown, ...(more > 0 ? [`And ${more} more.`] : [])].join(' '),
    `As of ${new Date(survey.lookedAt).toISOString()}. \`strideiq-agent list\` shows what is there.`,
  );
}

const mostDriftShown = 5;
