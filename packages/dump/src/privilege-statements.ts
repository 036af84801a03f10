/** A role as pg_dump prints it, one character a byte. */
const role = /(?:"(?:[^"]|"")*"|[\w$\x80-\xff]+)/.source;

/**
 * Only heads and ends are looked at, since names in between may hold anything, semicolons too. No name at the end of another
 * statement passes for a role: its own quotes, doubled inside it, never leave an even number of them before the `;`.
 */
const privileges = new RegExp(
  String.raw`^\s*(?:(?:GRANT|REVOKE|SET SESSION AUTHORIZATION|RESET SESSION AUTHORIZATION|ALTER DEFAULT PRIVILEGES|ALTER DATABASE|COMMENT ON DATABASE|SECURITY LABEL FOR ${role} ON DATABASE|ALTER ROLE ${role} IN DATABASE)\b|ALTER [A-Z ]+ .* OWNER TO ${role};\s*$)`,
  's',
);

/**
 * Whether a statement of pg_dump sets owner, grants or settings of the database: what `--no-owner --no-acl` leaves out. The
 * session's user is changed around grants that somebody else than the owner has made (dumputils.c, `buildACLCommands`).
 */
export function setsPrivileges(statement: Buffer): boolean {
  return privileges.test(statement.toString('latin1'));
}

/** What such statements of pg_dump begin with where they speak of objects in the database. */
export const privilegeWords: ReadonlySet<string> = new Set(['alter', 'grant', 'revoke', 'set', 'reset']);
/** The items that hold nothing else (pg_dump.c, `dumpACL` and `dumpDefaultACL`). */
export const privilegeItems: ReadonlySet<string> = new Set(['ACL', 'DEFAULT ACL']);
