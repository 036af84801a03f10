import type { Manifest } from '@strideiq/core';
import { quoteIdentifier } from '../postgres/identifiers.ts';

/**
 * How to restore with nothing of ours, kept beside the backups: whoever needs it may have nothing else left.
 * @param location the store's own, `/backups` or `s3://bucket/prefix/`
 */
export function recoverText(location: string, manifestText: Buffer): string {
  const { database, source } = JSON.parse(manifestText.toString()) as Pick<Manifest, 'database' | 'source'>;
  const place = location.endsWith('/') ? location : `${location}/`;
  const fetch = location.startsWith('s3://')
    ? `aws s3 ls ${place}\n    aws s3 cp ${place}NAME.sql.gz .\n    aws s3 cp ${place}NAME.manifest.json .\n    aws s3 cp ${place}NAME.privileges.sql.gz .`
    : `ls -l ${place}\n    cp ${place}NAME.* .`;
  const fetchGlobals = location.startsWith('s3://') ? `aws s3 cp ${place}NAME.globals.sql.gz .\n    ` : '';
  const own = sql(source.database);
  const restored = `${database}_restored`;
  return `HOW TO RESTORE "${database}" WITH STOCK TOOLS ALONE

Needed: gunzip, psql and createdb of PostgreSQL ${Math.floor(source.serverVersionNumber / 10_000)} or newer, of their newest minor
releases (older ones do not know the line \\restrict that newer pg_dumps write). Nothing of StrideIQ.

NAME is one backup, like ${database}_20260111_030000 (time in UTC). LATEST.sql.gz is the newest one.

1. Fetch it:

    ${fetch}

2. See that it is whole. The checksum must be the one under "object" in the manifest:

    gzip -t NAME.sql.gz && echo whole
    sha256sum NAME.sql.gz
    grep '^"object"' NAME.manifest.json

3. Create the roles, which the dump's policies may name. "already exists" is harmless:

    gunzip -c NAME.privileges.sql.gz | sed '/^-- End of roles/q' | psql -U postgres -d postgres

4. Create an empty database and load the dump. It must end without an error:

    createdb -U postgres -T template0 -E ${source.encoding} ${localeOptions(source)} ${restored}
    gunzip -c NAME.sql.gz | psql -U postgres -d ${restored} -v ON_ERROR_STOP=1

5. Look at it, then give owners and grants back. "already exists" is harmless here too:

    psql -U postgres -d ${restored} -c '\\dt+'
    gunzip -c NAME.privileges.sql.gz | psql -U postgres -d ${restored}

   No passwords of roles are in these files: set them anew with \\password.

6. Put it in place of the old one, when the application is stopped and nobody is connected. Where there is no old one,
   the first line says that it does not exist. The last line gives the database itself its owner, grants and settings:

    psql -U postgres -d postgres -c ${shell(`ALTER DATABASE ${own} RENAME TO ${sql(`${source.database}_old`)}`)}
    psql -U postgres -d postgres -c ${shell(`ALTER DATABASE "${restored}" RENAME TO ${own}`)}
    gunzip -c NAME.privileges.sql.gz | psql -U postgres -d ${shell(source.database)}

7. Only for a whole new server, and then in place of 3: roles with their settings and memberships, tablespaces, and grants on
   parameters. The directory of each tablespace has to be there first, empty and the server's own; without it that
   tablespace is told to fail, and the rest goes on. "already exists" is harmless. The file's first lines say whether it
   holds password hashes; mostly it does not. Backups of older agents have no such file:

    ${fetchGlobals}gunzip -c NAME.globals.sql.gz | psql -U postgres -d postgres

The .sql.gz is made of many gzip members. gunzip, zcat, pigz and every complete gzip reader take them as one file;
some libraries stop after the first: do not use those.
`;
}

/** As createdb of the source's own major takes them. */
function localeOptions({ collate, ctype, localeProvider, icuLocale }: Manifest['source']): string {
  const options = [`--lc-collate=${shell(collate)}`, `--lc-ctype=${shell(ctype)}`];
  if (localeProvider === 'i' && icuLocale !== null)
    options.push('--locale-provider=icu', `--icu-locale=${shell(icuLocale)}`);
  if (localeProvider === 'b' && icuLocale !== null)
    options.push('--locale-provider=builtin', `--builtin-locale=${shell(icuLocale)}`);
  return options.join(' ');
}

const sql = quoteIdentifier;

/** One word of a POSIX shell, whatever it holds. */
function shell(word: string): string {
  return /^[\w./:@-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
