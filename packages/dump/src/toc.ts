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

const start = /^-- (?:(?:Data|Statistics) for )?Name: /;

/**
 * Reads a comment line, without its line end, in every way in which it can be read: names may hold anything but a newline,
 * "; Type: INDEX; Schema: x" too. Empty for any other comment; nearly always one item.
 */
function readings(line: string): TocItem[] {
  const nameAt = start.exec(line)?.[0].length;
  if (nameAt === undefined) return [];
  const items: TocItem[] = [];
  for (const [typeAt, type, schemaAt] of typesIn(line, nameAt)) {
    for (const ownerAt of placesOf(line, '; Owner: ', schemaAt)) {
      const schema = line.slice(schemaAt, ownerAt);
      const [owner = '', tablespace] = line.slice(ownerAt + '; Owner: '.length).split('; Tablespace: ');
      items.push({
        name: line.slice(nameAt, typeAt),
        type,
        ...(schema === '-' ? {} : { schema }),
        ...(owner === '-' || owner === '' ? {} : { owner }),
        ...(tablespace === undefined ? {} : { tablespace }),
      });
      if (items.length === readingLimit) return items;
    }
  }
  return items;
}

/** No name is long enough for more. */
const readingLimit = 64;

function* typesIn(line: string, from: number): Generator<[typeAt: number, type: string, schemaAt: number]> {
  for (const typeAt of placesOf(line, '; Type: ', from)) {
    const [all, type] = /^; Type: ([A-Z][A-Z ]*); Schema: /.exec(line.slice(typeAt, typeAt + 100)) ?? [];
    if (all !== undefined && type !== undefined) yield [typeAt, type, typeAt + all.length];
  }
}

function* placesOf(line: string, mark: string, from: number): Generator<number> {
  for (let at = line.indexOf(mark, from); at >= 0; at = line.indexOf(mark, at + 1)) yield at;
}

/** Follows the items of a dump from the first to the last. */
export class TocReader {
  /** Never goes back. */
  section: Section = 'pre-data';
  /** The item that was met last. */
  item: TocItem | undefined;
  /** Schemas that the dump makes or fills, or has before it begins. */
  private readonly schemas = new Set<string | undefined>([undefined, 'public']);

  /**
   * Reads a comment line; tells whether it is an item's. Of several readings the one counts whose schema is known, and of
   * those the one that leads less far: no name can make the dump look further than it is.
   */
  read(line: string): boolean {
    const items = readings(line);
    const known = items.filter(({ schema }) => this.schemas.has(schema));
    const [item] = (known.length > 0 ? known : items).toSorted(
      (a, b) => order.indexOf(sectionAfter(this.section, a.type)) - order.indexOf(sectionAfter(this.section, b.type)),
    );
    if (!item) return false;
    this.item = item;
    this.section = sectionAfter(this.section, item.type);
    if (item.type === 'SCHEMA') this.schemas.add(item.name);
    if (items.length === 1) this.schemas.add(item.schema);
    return true;
  }
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
