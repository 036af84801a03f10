import { withDatabase } from '../postgres/endpoint.ts';
import { quoteIdentifier } from '../postgres/identifiers.ts';
import { onMaintenance } from './maintenance-session.ts';
import { unquoted } from './stand-ins.ts';
import type { UntrustedRoleOptions } from './untrusted-role.ts';

const identifier = String.raw`("(?:[^"]|"")*"|[^\s"';]+)`;
/** As `dumpExtension` in pg_dump.c writes it. */
const creates = new RegExp(
  String.raw`^\s*CREATE EXTENSION (?:IF NOT EXISTS )?${identifier}(?: WITH SCHEMA ${identifier})?;\s*$`,
);

/**
 * For superusers alone to make, and known to let no other role reach beyond its database: they ask for rights of their own
 * (file_fdw, pageinspect …), or have nothing to reach with. Not among them are those that connect to somewhere (dblink, http),
 * run jobs (pg_cron) or read files by themselves (xml2).
 */
const known = new Set(
  `amcheck bloom dict_xsyn earthdistance file_fdw intagg moddatetime old_snapshot
   pageinspect pg_buffercache pg_freespacemap pg_prewarm pg_stat_statements pg_surgery pg_visibility
   pg_walinspect pgrowlocks pgstattuple postgres_fdw sslinfo hll hypopg ip4r pgaudit pgrouting postgis
   postgis_topology vector`.split(/\s+/),
);

/**
 * Makes an extension that an untrusted dump needs, where only a superuser can: without pg_stat_statements or PostGIS many a
 * machine that was lost could not be restored. Of the dump only the names are taken; what is run is the script that the
 * server's administrator has installed, and only while nothing stands in the database that the dump could have made to be
 * found by it: schemas, which pg_dump writes first, and other extensions.
 * @param clientEncoding in which the statement's bytes are
 * @returns its name; undefined where it is none of the known ones, or it is too late for it
 * @throws pg.DatabaseError where the server cannot make it
 */
export async function makeExtension(
  { maintenance, runId, scratchDatabase }: UntrustedRoleOptions,
  statement: Buffer,
  clientEncoding: string,
): Promise<string | undefined> {
  const [, name, schema] = creates.exec(statement.toString('latin1')) ?? [];
  if (name === undefined || !known.has(unquoted(name, clientEncoding))) return undefined;
  // A script may have the schema's name put into it as text.
  if (schema !== undefined && /["'$\\]/.test(unquoted(schema, clientEncoding))) return undefined;
  const quoted = (each: string) => quoteIdentifier(unquoted(each, clientEncoding));
  return onMaintenance(withDatabase(maintenance, scratchDatabase), runId, async (connection) => {
    const { rows } = await connection.query(madeByDump);
    if (rows.length > 0) return undefined;
    // What the dump has under way could be in the way for ever.
    await connection.query("SET lock_timeout = '60s'");
    await connection.query(
      `CREATE EXTENSION IF NOT EXISTS ${quoted(name)}${schema === undefined ? '' : ` SCHEMA ${quoted(schema)}`}`,
    );
    return unquoted(name, clientEncoding);
  });
}

/** Whatever is in a schema, is not the server's own, and belongs to no extension. */
const madeByDump = `
SELECT FROM pg_depend d
 WHERE d.refclassid = 'pg_namespace'::regclass AND d.objid >= 16384
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = d.classid AND e.objid = d.objid AND e.deptype = 'e')
   -- an extension in its schema
   AND d.classid <> 'pg_extension'::regclass LIMIT 1`;
