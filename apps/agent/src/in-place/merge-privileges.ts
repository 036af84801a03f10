import { Privileges } from '../restore/privileges.ts';

/** A name as pg_dump writes it, quoted where it has to be, one character a byte. */
const quoted = String.raw`"(?:[^"]|"")*"`;
/** What kind of object; pg_dump quotes every name that has capitals. */
const kinds = '([A-Z]+(?: [A-Z]+)*)';
const setsOwner = new RegExp(
  String.raw`^\s*ALTER ${kinds} ((?:${quoted}|[^"A-Z])(?:${quoted}|[^"])*) OWNER TO (?:${quoted}|[^\s";]+);\s*$`,
);
const setsRights = new RegExp(
  String.raw`^\s*(?:GRANT|REVOKE) (?:${quoted}|[^"])*? ON ${kinds} ((?:${quoted}|[^"A-Z])(?:${quoted}|[^"])*?) (?:TO|FROM) `,
);

/** What the bytes of those after it mean. */
const setting = /^\s*SET /;

/** Each stands for many of them, all of which have to be there: only those of the backup are. */
const largeObjects = /^\s*(?:DO '.*ALTER|(?:GRANT|REVOKE) .* ON) LARGE OBJECT /s;

/** What whoever makes an object later gives others. */
const defaultPrivileges = /^ALTER DEFAULT PRIVILEGES /;

/** What bears one name among others: a view and a table cannot be called the same. */
const family: Readonly<Record<string, string>> = {
  VIEW: 'TABLE',
  'MATERIALIZED VIEW': 'TABLE',
  'FOREIGN TABLE': 'TABLE',
  SEQUENCE: 'TABLE',
  PROCEDURE: 'FUNCTION',
  AGGREGATE: 'FUNCTION',
  DOMAIN: 'TYPE',
  'FOREIGN SERVER': 'SERVER',
  'PROCEDURAL LANGUAGE': 'LANGUAGE',
};

/** Is in every database, and told of by pg_dump only where it is otherwise than PostgreSQL makes it. */
const everywhere = 'SCHEMA public';

interface About {
  /** The object, by kind and name. */
  object: string;
  setsOwner: boolean;
}

/** What a statement of pg_dump gives owner or rights to; undefined for settings, default privileges and the like. */
export function objectOf(statement: Buffer): About | undefined {
  const text = statement.toString('latin1');
  if (largeObjects.test(text)) return undefined;
  const owner = setsOwner.exec(text);
  const [, kind = '', name = ''] = owner ?? setsRights.exec(text) ?? [];
  if (kind === '') return undefined;
  return { object: `${family[kind] ?? kind} ${name}`, setsOwner: owner !== null };
}

/**
 * Owners and grants for a database that takes the place of another: as the replaced one has them now, for whoever had a
 * right keeps it, and whoever has lost one since the backup does not get it back. Only objects that it has no more, and
 * large objects, are as the backup says.
 * @param backup undefined where the backup has none beside it
 * @returns with notes on what is otherwise than in the backup
 */
export function mergePrivileges(
  backup: Privileges | undefined,
  live: Privileges,
): { privileges: Privileges; notes: string[] } {
  if (!backup) return { privileges: live, notes: [] };
  const before = byObject(backup.ofObjects);
  const now = byObject(live.ofObjects);
  const isGone = (object: string) =>
    object !== everywhere && before.get(object)?.owned === true && now.get(object)?.owned !== true;
  const ofGone = backup.ofObjects.filter((statement) => {
    const text = statement.toString('latin1');
    const about = objectOf(statement);
    return about ? isGone(about.object) : setting.test(text) || largeObjects.test(text);
  });
  // Of what came after the backup nothing is in the new database.
  const ofNow = live.ofObjects.filter((statement) => {
    if (largeObjects.test(statement.toString('latin1'))) return false;
    const about = objectOf(statement);
    if (!about) return true;
    return about.object === everywhere || before.has(about.object) || now.get(about.object)?.owned !== true;
  });
  const privileges = new Privileges([...ofGone, ...ofNow.map(ofAnyKind)], live.ofDatabase);
  return { privileges, notes: differences(backup, live) };
}

interface OfObject {
  /** Whether the dump says who owns it; of what belongs to the server or an extension it does not. */
  owned: boolean;
  statements: string[];
}

/** What was a view when the backup was made is a table now, say: the general words do for both. */
function ofAnyKind(statement: Buffer): Buffer {
  const text = statement
    .toString('latin1')
    .replace(/^(\s*ALTER) (?:VIEW|MATERIALIZED VIEW|FOREIGN TABLE|SEQUENCE) /, '$1 TABLE ')
    .replace(/^(\s*ALTER) (?:FUNCTION|PROCEDURE) /, '$1 ROUTINE ')
    // ROUTINE has no words for an aggregate of anything, or of an order.
    .replace(/^(\s*ALTER) AGGREGATE (?!.*(?:\(\*\)|ORDER BY))/, '$1 ROUTINE ');
  return Buffer.from(text, 'latin1');
}

function byObject(statements: readonly Buffer[]): Map<string, OfObject> {
  const objects = new Map<string, OfObject>();
  for (const statement of statements) {
    const about = objectOf(statement);
    if (!about) continue;
    const known = objects.get(about.object) ?? { owned: false, statements: [] };
    known.owned ||= about.setsOwner;
    known.statements.push(textOf(statement));
    objects.set(about.object, known);
  }
  return objects;
}

const textOf = (statement: Buffer) => statement.toString('latin1').trim();
const sameTexts = (some: readonly string[], others: readonly string[]) =>
  some.toSorted().join('\n') === others.toSorted().join('\n');

const mostNamed = 5;

/** What was changed after the backup was made, for people. */
function differences(backup: Privileges, live: Privileges): string[] {
  const before = byObject(backup.ofObjects);
  const now = byObject(live.ofObjects);
  const objects = [...before].flatMap(([object, { statements }]) => {
    const other = now.get(object);
    return other && !sameTexts(statements, other.statements) ? [object] : [];
  });
  const named = objects.slice(0, mostNamed).map((object) => Buffer.from(object, 'latin1').toString());
  const more = objects.length > mostNamed ? [`${objects.length - mostNamed} more`] : [];
  const defaults = (of: Privileges) => of.ofObjects.map(textOf).filter((text) => defaultPrivileges.test(text));
  const what = [
    ...named,
    ...more,
    ...(sameTexts(defaults(backup), defaults(live)) ? [] : ['default privileges']),
    ...(sameTexts(backup.ofDatabase.map(textOf), live.ofDatabase.map(textOf)) ? [] : ['the database itself']),
  ];
  if (what.length === 0) return [];
  return [
    `Owner, grants or settings were changed after the backup was made, and are as the replaced database had them: ${what.join(', ')}.`,
  ];
}
