import type { Section } from '@strideiq/core';

/** What pg_dump says of the item that follows: the comment that `_printTocEntry` in pg_backup_archiver.c writes. */
export interface TocItem {
  /** Without its schema; functions with their argument types. Newlines in names have become spaces. */
  name: string;
  /** `TABLE`, `TABLE DATA`, `INDEX`, `FK CONSTRAINT` … */
  type: string;
  /** Undefined where the item has none. */
  schema?: string;
  owner?: string;
  tablespace?: string;
}

/**
 * Reads one comment line, without its line end; undefined for any other comment. Read from its end, since what stands
 * before is the object's name, which may hold anything but a newline.
 */
export function parseTocLine(line: string): TocItem | undefined {
  const start = /^-- (?:Data for )?Name: /.exec(line)?.[0].length;
  if (start === undefined) return undefined;
  const ownerAt = line.lastIndexOf('; Owner: ');
  const schemaAt = line.lastIndexOf('; Schema: ', ownerAt);
  const typeAt = line.lastIndexOf('; Type: ', schemaAt);
  if (ownerAt < 0 || schemaAt < 0 || typeAt < start) return undefined;
  const type = line.slice(typeAt + '; Type: '.length, schemaAt);
  if (!/^[A-Z][A-Z ]*$/.test(type)) return undefined;
  const schema = line.slice(schemaAt + '; Schema: '.length, ownerAt);
  const [owner = '', tablespace] = line.slice(ownerAt + '; Owner: '.length).split('; Tablespace: ');
  return {
    name: line.slice(start, typeAt),
    type,
    ...(schema === '-' ? {} : { schema }),
    ...(owner === '-' || owner === '' ? {} : { owner }),
    ...(tablespace === undefined ? {} : { tablespace }),
  };
}

/**
 * The section in which items of a type begin it, after `.section = SECTION_…` in pg_dump.c of PostgreSQL 12 to 18. All
 * other types are pre-data, or (COMMENT, ACL, SECURITY LABEL: `SECTION_NONE`) follow what they speak of. Statistics of
 * tables are data and those of indexes post-data; the rule that sections never go back tells them apart.
 */
const sectionOfType: Record<string, Section> = {
  'TABLE DATA': 'data',
  'SEQUENCE SET': 'data',
  BLOBS: 'data',
  'BLOB COMMENTS': 'data',
  'LARGE OBJECTS': 'data',
  'STATISTICS DATA': 'data',
  INDEX: 'post-data',
  'INDEX ATTACH': 'post-data',
  CONSTRAINT: 'post-data',
  'CHECK CONSTRAINT': 'post-data',
  'FK CONSTRAINT': 'post-data',
  'DEFAULT ACL': 'post-data',
  'EVENT TRIGGER': 'post-data',
  'MATERIALIZED VIEW DATA': 'post-data',
  POLICY: 'post-data',
  PUBLICATION: 'post-data',
  'PUBLICATION TABLE': 'post-data',
  'PUBLICATION TABLES IN SCHEMA': 'post-data',
  'ROW SECURITY': 'post-data',
  RULE: 'post-data',
  STATISTICS: 'post-data',
  SUBSCRIPTION: 'post-data',
  'SUBSCRIPTION TABLE': 'post-data',
  TRIGGER: 'post-data',
};

const order: Section[] = ['pre-data', 'data', 'post-data'];

/** The section that an item stands in, given that of the item before it: a dump never goes back. */
export function sectionAfter(current: Section, type: string): Section {
  const next = sectionOfType[type] ?? current;
  return order.indexOf(next) > order.indexOf(current) ? next : current;
}
