import type { Manifest } from '@strideiq/core';
import type { Connection } from '../postgres/connect.ts';

/** What the manifest says of a database's contents beside rows and inventory. */
export type DatabaseContents = Pick<Manifest, 'extensions' | 'roles' | 'passwordsIn'>;

/** Extensions, the roles that policies and user mappings of the dump name, and the objects in it that hold a password. */
export async function readContents(connection: Connection): Promise<DatabaseContents> {
  const extensions = await connection.query<{ name: string; version: string }>(
    "SELECT extname AS name, extversion AS version FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1",
  );
  const roles = await connection.query<{ name: string }>(
    `SELECT DISTINCT r.rolname AS name FROM pg_roles r
      WHERE r.oid IN (SELECT unnest(polroles) FROM pg_policy)
         OR r.oid IN (SELECT umuser FROM pg_user_mappings)
      ORDER BY 1`,
  );
  const passwords = await connection.query<{ name: string }>(
    `SELECT format('user mapping for %I on server %I', usename, srvname) AS name FROM pg_user_mappings
      WHERE EXISTS (SELECT FROM unnest(umoptions) AS option WHERE option ~* '^[a-z_]*(password|secret|token|key)[a-z_]*=')
      ORDER BY 1`,
  );
  return {
    extensions: extensions.rows,
    roles: roles.rows.map((row) => row.name),
    passwordsIn: passwords.rows.map((row) => row.name),
  };
}
