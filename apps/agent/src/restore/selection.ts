import type { Inventory, InventoryObject, Manifest, TableRows } from '@strideiq/core';
import { relationKey, type RelationName } from '@strideiq/dump';
import { AgentError } from '../errors.ts';
import { nearest } from './nearest.ts';

/** What of a backup is wanted; left out altogether: all of it. */
export interface Wanted {
  /** Names as whoever asks wrote them: `schema.table`. Empty for no rows at all. */
  tables: readonly string[];
  /** Of those tables, or of the whole schema where there are none: also indexes, keys, triggers and all that hangs on them. */
  postData: boolean;
}

/** The part of a backup that is wanted, found in its manifest. */
export interface Selection {
  /** The tables that were named, without their partitions; each once. */
  asked: readonly RelationName[];
  /** Of all tables wanted: those whose rows the backup does not hold. */
  withoutRows: readonly RelationName[];
  /** Tables with their partitions, by `relationKey`; undefined: no table in particular, and no rows. */
  tables: ReadonlySet<string> | undefined;
  /** The same as the inventory writes them. */
  identities: ReadonlySet<string>;
  /** Partitioned tables that are not wanted, but have partitions that are: those, as they were asked for, by `relationKey`. */
  roots: ReadonlyMap<string, string>;
  postData: boolean;
}

/**
 * Finds the wanted tables in what the manifest says, or what a dump's pre-data has made; a wrong name is told. A
 * partitioned table stands for its partitions.
 * @param tables those whose rows are known to be there
 * @throws AgentError `TableNotFound`
 */
export function selectFrom({ tables, inventory }: Pick<Manifest, 'tables' | 'inventory'>, wanted: Wanted): Selection {
  const { postData } = wanted;
  if (wanted.tables.length === 0) {
    return { asked: [], withoutRows: [], tables: undefined, identities: new Set(), roots: new Map(), postData };
  }
  const made = new TablesMade(inventory);
  const copied = new Map(tables.map((table) => [relationKey(table), table]));
  const all = [...new Map([...copied, ...made.tables]).values()];
  const selected = new Map<string, RelationName>();
  const roots = new Map<string, string>();
  const asked = new Map<string, RelationName>();
  for (const written of wanted.tables) {
    const table = find(written, all);
    asked.set(relationKey(table), table);
    for (const part of [table, ...made.partitionsOf(table)]) selected.set(relationKey(part), part);
    for (const root of made.rootsOf(table)) roots.set(relationKey(root), written);
  }
  for (const [root, written] of roots) {
    const rows = copied.get(root);
    if (selected.has(root)) roots.delete(root);
    else if (rows) throw throughRoot(written, nameOf(rows));
  }
  const identities = [...selected.keys()].map((key) => made.identities.get(key)).filter((one) => one !== undefined);
  return {
    asked: [...asked.values()].map(({ schema, name }) => ({ schema, name })),
    withoutRows: [...selected.values()].filter(
      (table) =>
        !copied.has(relationKey(table)) &&
        !made.isPartitioned(table) &&
        !made.rootsOf(table).some((root) => copied.has(relationKey(root))),
    ),
    tables: new Set(selected.keys()),
    identities: new Set(identities),
    roots,
    postData,
  };
}

/** What post-data makes, or fills: of a part of a backup only some of it is there. */
const hangingOnTables = new Set(['constraint', 'trigger', 'rule', 'policy']);
const ofTheWhole = new Set([
  'event trigger',
  'publication',
  'publication table',
  'large objects',
  'view',
  'materialized view',
]);

/** Whether an object of the inventory has to be in the database once a selection was restored. */
export function isOfSelection(
  { kind, identity, parts: [first = ''] = [] }: InventoryObject,
  { tables, identities, postData }: Selection,
): boolean {
  if (kind === 'large objects') return false;
  if (!tables && postData) return true;
  const onTable = [...identities].some((table) => first === `on ${table}` || identity.startsWith(`${table} `));
  if (kind === 'index' || kind === 'extended statistics') return postData && onTable;
  // A foreign key to a table that was not restored is left out.
  if (hangingOnTables.has(kind)) return postData && onTable && !first.startsWith('foreign key');
  if (kind === 'row security') return postData && identities.has(identity);
  return !ofTheWhole.has(kind);
}

/** Tables as the inventory tells of them. */
class TablesMade {
  readonly tables = new Map<string, RelationName>();
  /** As the inventory writes them, by `relationKey`. */
  readonly identities = new Map<string, string>();
  readonly #parents = new Map<string, RelationName[]>();
  readonly #partitioned = new Set<string>();

  constructor(inventory: Inventory) {
    for (const { kind, identity, parts = [] } of inventory) {
      const table = relationOf(identity);
      if (!table) continue;
      const key = relationKey(table);
      if (kind === 'table' || kind === 'partitioned table' || kind === 'foreign table') {
        this.tables.set(key, table);
        this.identities.set(key, identity);
      }
      if (kind === 'partitioned table') this.#partitioned.add(key);
      if (kind === 'inheritance')
        this.#parents.set(
          key,
          parts.map(relationOf).filter((one) => one !== undefined),
        );
    }
  }

  /** The partitioned tables that a table is a part of, from the nearest up. */
  rootsOf(table: RelationName): RelationName[] {
    const [parent] = this.#parents.get(relationKey(table)) ?? [];
    if (!parent || !this.#partitioned.has(relationKey(parent))) return [];
    return [parent, ...this.rootsOf(parent)];
  }

  isPartitioned(table: RelationName): boolean {
    return this.#partitioned.has(relationKey(table));
  }

  partitionsOf(table: RelationName): RelationName[] {
    if (!this.isPartitioned(table)) return [];
    const key = relationKey(table);
    return [...this.tables.values()].filter((one) => this.rootsOf(one).some((root) => relationKey(root) === key));
  }
}

const part = '(?:"((?:[^"]|"")+)"|([^".\\s]+))';
const qualified = new RegExp(`^(?:${part}\\.)?${part}$`);

interface WrittenName {
  schema: string | undefined;
  name: string;
}

/** A name as people and the inventory write it, `schema.name` with quotes where they are needed. */
function parse(written: string): WrittenName | undefined {
  const [all, quotedSchema, plainSchema, quotedName, plainName] = qualified.exec(written) ?? [];
  if (all === undefined) return undefined;
  const schema = quotedSchema?.replaceAll('""', '"') ?? plainSchema;
  return { schema, name: quotedName?.replaceAll('""', '"') ?? plainName ?? '' };
}

function relationOf(identity: string): RelationName | undefined {
  const { schema, name } = parse(identity) ?? {};
  return schema === undefined || name === undefined ? undefined : { schema, name };
}

function nameOf({ schema, name }: RelationName): string {
  return `${schema}.${name}`;
}

/** By the name as it is written, else as SQL would read it, in lower case; without a schema where one table alone is called so. */
function find(written: string, all: readonly RelationName[]): RelationName {
  const parsed = parse(written);
  for (const { schema, name } of parsed ? [parsed, lowered(parsed)] : []) {
    const found = all.filter((one) => one.name === name && (schema === undefined || one.schema === schema));
    const [first, second] = found;
    if (first && !second) return first;
    if (first) throw ambiguous(written, found.map(nameOf));
  }
  throw notThere(written, nearest(written, all.map(nameOf)));
}

function lowered({ schema, name }: WrittenName): WrittenName {
  return { schema: schema?.toLowerCase(), name: name.toLowerCase() };
}

function notThere(written: string, near: readonly string[]): AgentError {
  return new AgentError(
    'TableNotFound',
    `The backup holds no table ${JSON.stringify(written)}.`,
    near.length > 0
      ? `Is it ${near.map((name) => JSON.stringify(name)).join(' or ')}? \`strideiq-agent show REF\` lists them all.`
      : '`strideiq-agent show REF` lists those that it holds.',
  );
}

function ambiguous(written: string, names: readonly string[]): AgentError {
  return new AgentError(
    'TableNotFound',
    `The backup holds several tables ${JSON.stringify(written)}: ${names.join(', ')}.`,
    'Name one with its schema.',
  );
}

/** @param written a partition as it was asked for */
export function throughRoot(written: string, root: string): AgentError {
  return new AgentError(
    'TableNotFound',
    `The rows of ${JSON.stringify(written)} stand in the backup among those of ${root}: which partition each belongs to is decided by the server that takes them.`,
    `Restore ${root} as a whole.`,
  );
}

/** The tables whose rows are to be compared with the manifest. */
export function comparedTables(
  selection: Selection | undefined,
  manifest: Manifest | undefined,
): readonly TableRows[] | undefined {
  if (!selection) return manifest?.tables;
  return manifest?.tables.filter((table) => selection.tables?.has(relationKey(table)));
}
