/** A role as pg_dump prints it, one character a byte. */
const role = /(?:"(?:[^"]|"")*"|[\w$\x80-\xff]+)/.source;

/** Only heads and ends are looked at, since names in between may hold anything, semicolons too. */
const privileges = new RegExp(
  String.raw`^\s*(?:(?:GRANT|REVOKE|ALTER DEFAULT PRIVILEGES|ALTER DATABASE|COMMENT ON DATABASE|SECURITY LABEL FOR ${role} ON DATABASE|ALTER ROLE ${role} IN DATABASE)\b|ALTER [A-Z ]+ .* OWNER TO ${role};\s*$)`,
  's',
);

/** Whether a statement of pg_dump sets owner, grants or settings of the database: what `--no-owner --no-acl` leaves out. */
export function setsPrivileges(statement: Buffer): boolean {
  return privileges.test(statement.toString('latin1'));
}
