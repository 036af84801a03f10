import type { Manifest } from '@strideiq/core';
import { AgentError } from '../errors.ts';
import type { Connection } from '../postgres/connect.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import { freeKeptName } from './kept-names.ts';
import { checkServer, localeOptions, type Locale, type TargetServer } from '../restore/target.ts';

/** A session that a swap ends. */
export interface LiveSession {
  user: string;
  application: string;
}

/** The database that a restore is to replace. */
export interface LiveDatabase extends Locale {
  name: string;
  oid: number;
  owner: string;
  tablespace: string;
  /** Where a new database is put that names none, which needs no right to it. */
  inUsualTablespace: boolean;
  /** As PostgreSQL counts it, indexes and all; null where the role may not know. */
  bytes: number | null;
  /** None that is enabled, which would be in the way. */
  disabledSubscriptions: string[];
  sessions: LiveSession[];
}

/** A server on which a database can be replaced, and that database. */
export interface LiveServer extends TargetServer {
  live: LiveDatabase;
  /** What that one would be called, were it replaced now. */
  keptAs: string;
}

/** With all that may stand in the way of replacing it. */
interface Facts extends LiveDatabase {
  current: string;
  standby: boolean;
  template: boolean;
  prepared: string[];
  slots: string[];
  subscriptions: string[];
  cron: boolean;
  owns: boolean;
  ends: boolean;
  /** Whether it may make another database in the same tablespace. */
  makesThere: boolean;
  superusers: number;
}

/**
 * Looks whether a database can be replaced, before anything is made.
 * @throws AgentError `DatabaseMissing`, `SwapImpossible` with everything that stands in the way, `PrivilegeMissing`, and
 *   as `checkServer` does
 */
export async function checkLive(
  connection: Connection,
  name: string,
  manifest: Manifest | undefined,
  nowMs: number,
): Promise<LiveServer> {
  const server = await checkServer(connection, manifest);
  const facts = await checkSwappable(connection, name);
  checkRights(facts, server.user);
  const keptAs = await freeKeptName(connection, name, 'before', nowMs);
  return { ...server, tablespace: facts.tablespace, live: facts, keptAs };
}

/**
 * The database, where nothing but sessions stands in the way of replacing it.
 * @throws AgentError `DatabaseMissing`, `SwapImpossible` with everything that stands in the way
 */
export async function checkSwappable(connection: Connection, name: string): Promise<Facts> {
  const facts = await readFacts(connection, name);
  if (!facts) {
    throw new AgentError(
      'DatabaseMissing',
      `There is no database ${JSON.stringify(name)} that could be replaced.`,
      `Restore into a new one of that name: --into ${name}.`,
    );
  }
  const reasons = whyNot(facts);
  if (reasons.length > 0) {
    throw new AgentError(
      'SwapImpossible',
      `${name} cannot be replaced: ${reasons.map(([what]) => what).join('; ')}.`,
      `${reasons.map(([, cure]) => cure).join(' ')} A restore into a new database, with --into, changes nothing here.`,
    );
  }
  return facts;
}

/** @returns undefined where there is no such database */
async function readFacts(connection: Connection, name: string): Promise<Facts | undefined> {
  const { rows: versions } = await connection.query<{ version: number }>(
    "SELECT current_setting('server_version_num')::int AS version",
  );
  const version = versions[0]?.version ?? 0;
  // As in a backup's preflight: pg_database.daticulocale came with 15 and was renamed in 17; datlocprovider came with 15.
  const provider = version >= 150_000 ? 'd.datlocprovider::text' : "'c'::text";
  const icu = version >= 170_000 ? 'd.datlocale' : version >= 150_000 ? 'd.daticulocale' : 'NULL::text';
  const rules = version >= 160_000 ? 'd.daticurules' : 'NULL::text';
  const { rows } = await connection.query<Facts>(
    `SELECT d.datname AS name, d.oid, pg_get_userbyid(d.datdba)::text AS owner, t.spcname::text AS tablespace,
            pg_encoding_to_char(d.encoding)::text AS encoding, d.datcollate::text AS collate, d.datctype::text AS ctype,
            ${provider} AS "localeProvider", ${icu} AS "icuLocale", ${rules} AS "icuRules",
            CASE WHEN has_database_privilege(d.oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE')
                 THEN pg_database_size(d.oid)::float8 END AS bytes,
            current_database()::text AS current, pg_is_in_recovery() AS standby, d.datistemplate AS template,
            ARRAY(SELECT gid FROM pg_prepared_xacts WHERE database = d.datname ORDER BY 1)::text[] AS prepared,
            ARRAY(SELECT slot_name FROM pg_replication_slots WHERE database = d.datname ORDER BY 1)::text[] AS slots,
            ARRAY(SELECT subname FROM pg_subscription WHERE subdbid = d.oid AND subenabled ORDER BY 1)::text[] AS subscriptions,
            ARRAY(SELECT subname FROM pg_subscription WHERE subdbid = d.oid AND NOT subenabled ORDER BY 1)::text[] AS "disabledSubscriptions",
            -- the setting is not for everyone to read, and the launcher's session is
            EXISTS (SELECT FROM pg_stat_activity a WHERE a.datid = d.oid AND starts_with(a.backend_type, 'pg_cron'))
              OR CASE WHEN pg_has_role('pg_read_all_settings', 'USAGE')
                      THEN coalesce(current_setting('cron.database_name', true) = d.datname, false) ELSE false END AS cron,
            pg_has_role(d.datdba, 'USAGE') AS owns,
            has_tablespace_privilege(t.oid, 'CREATE') AS "makesThere",
            t.oid = (SELECT m.dattablespace FROM pg_database m WHERE m.datname = 'template0') AS "inUsualTablespace",
            (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) OR pg_has_role('pg_signal_backend', 'USAGE') AS ends,
            (SELECT count(*)::int FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid AND r.rolsuper
              WHERE a.datid = d.oid AND NOT (SELECT m.rolsuper FROM pg_roles m WHERE m.rolname = current_user)) AS superusers,
            coalesce((SELECT json_agg(json_build_object('user', a.usename, 'application', a.application_name))
                        FROM pg_stat_activity a WHERE a.datid = d.oid AND a.usesysid IS NOT NULL), '[]') AS sessions
       FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace
      WHERE d.datname = $1`,
    [name],
  );
  return rows[0];
}

/** What stands in the way of a swap, each with its cure. */
function whyNot(facts: Facts): [what: string, cure: string][] {
  const { name, current, standby, template, prepared, slots, subscriptions, cron } = facts;
  const list = (names: readonly string[]) => names.slice(0, 5).join(', ') + (names.length > 5 ? ' …' : '');
  const reasons: [boolean, string, string][] = [
    [standby, 'the server is a standby', 'Restore on its primary.'],
    [
      current === name,
      'there is no other database from which it could be renamed',
      'Let the agent’s role connect to template1 or to another database called postgres.',
    ],
    [template, 'it is a template', `ALTER DATABASE ${quoteIdentifier(name)} IS_TEMPLATE false;`],
    [
      prepared.length > 0,
      `it has prepared transactions (${list(prepared)})`,
      'Have them end by COMMIT PREPARED or ROLLBACK PREPARED.',
    ],
    [
      slots.length > 0,
      `logical replication slots hang on it (${list(slots)})`,
      'Whoever reads them would have to begin anew: drop them with pg_drop_replication_slot if that is meant.',
    ],
    [
      subscriptions.length > 0,
      `it has enabled subscriptions (${list(subscriptions)})`,
      'ALTER SUBSCRIPTION … DISABLE first, and look at what the restored database should subscribe to.',
    ],
    [
      cron,
      'pg_cron works in it (cron.database_name)',
      'Its background worker would hold the database that was replaced; name another database there, and restart PostgreSQL.',
    ],
  ];
  return reasons.flatMap(([holds, what, cure]) => (holds ? [[what, cure]] : []));
}

/** @throws AgentError `PrivilegeMissing` */
function checkRights(facts: Facts, user: string): void {
  const { name, owns, ends, owner, makesThere, tablespace, inUsualTablespace, superusers, sessions } = facts;
  if (!owns) {
    throw new AgentError(
      'PrivilegeMissing',
      `The role ${user} may not rename ${name}, which belongs to ${owner}.`,
      `As a superuser run: GRANT ${quoteIdentifier(owner)} TO ${quoteIdentifier(user)};`,
    );
  }
  if (!makesThere && !inUsualTablespace) {
    throw new AgentError(
      'PrivilegeMissing',
      `The role ${user} may not make databases in the tablespace ${tablespace}, where ${name} is.`,
      `As a superuser run: GRANT CREATE ON TABLESPACE ${quoteIdentifier(tablespace)} TO ${quoteIdentifier(user)};`,
    );
  }
  const foreign = sessions.some((session) => session.user !== user);
  if (foreign && !ends) {
    throw new AgentError(
      'PrivilegeMissing',
      `The role ${user} may not end the sessions of others in ${name}, which a swap has to.`,
      `As a superuser run: GRANT pg_signal_backend TO ${quoteIdentifier(user)};`,
    );
  }
  if (superusers > 0) {
    throw new AgentError(
      'PrivilegeMissing',
      `Superusers are connected to ${name}, whose sessions the role ${user} may not end.`,
      'Have them leave, or restore as a superuser.',
    );
  }
}

/** Of CREATE DATABASE, for one that takes its place. */
export function createOptionsOf(live: LiveDatabase, server: TargetServer): string {
  const tablespace = live.inUsualTablespace ? '' : ` TABLESPACE ${quoteIdentifier(live.tablespace)}`;
  return `${localeOptions(live, server)}${tablespace}`;
}
