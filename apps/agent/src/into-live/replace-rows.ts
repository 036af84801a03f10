import { relationKey } from '@strideiq/dump';
import { AgentError } from '../errors.ts';
import type { Connection } from '../postgres/connect.ts';
import { qualifiedName, quoteIdentifier, quoteLiteral } from '../postgres/identifiers.ts';
import type { ReportProgress } from '../progress/progress.ts';
import { copyRows } from './copy-rows.ts';
import { givenColumns, readTables, rowsOf, type Cascade, type LiveTable } from './live-tables.ts';

/** What became of a live table's rows. */
export interface ReplacedRows {
  schema: string;
  name: string;
  rows: number;
  deleted: number;
  updated: number;
  inserted: number;
}

/** Longest wait for a lock: whoever wants one after us waits behind ours. */
const lockLimit = '30s';

/** A table of the backup, as it is in the restored database, and the temporary one on the live side that holds its rows. */
export interface FetchedTable {
  restored: LiveTable;
  rows: string;
  count: number;
}

/**
 * Brings the backup's rows to the live side, into tables that end with the session. Nobody waits for that.
 * @param live a session that is used for nothing else
 * @throws AgentError `TableChanged`
 */
export async function fetchRows(
  live: Connection,
  restored: Connection,
  tables: readonly LiveTable[],
  progress: ReportProgress,
): Promise<FetchedTable[]> {
  const found = await readTables(live, tables);
  const fetched: FetchedTable[] = [];
  for (const [at, table] of tables.entries()) {
    const now = found[at];
    checkSameColumns(table, now);
    progress({ phase: 'restoring', table: `${table.schema}.${table.name}` });
    const rows = `pg_temp.${quoteIdentifier(`strideiq_rows_${at}`)}`;
    const columns = givenColumns(table).join(', ');
    // Types and collations alone: neither keys nor computed columns.
    await live.query(`CREATE TEMPORARY TABLE ${rows} AS SELECT ${columns} FROM ${rowsOf(now)} WITH NO DATA`);
    const target = columns === '' ? rows : `${rows} (${columns})`;
    const count = await copyRows(restored, `SELECT ${columns} FROM ${rowsOf(table)}`, live, target);
    await live.query(`ANALYZE ${rows}`);
    fetched.push({ restored: table, rows, count });
  }
  return fetched;
}

/**
 * Makes the rows of live tables those of the backup, in the open transaction. What is the same stays as it is, so that rows
 * of other tables that refer to it stay too. Until the transaction ends others read the old rows, and nobody writes.
 *
 * The tables' own triggers do not fire: the rows are to be the backup's. Foreign keys are checked as ever, at the end.
 * @throws AgentError `TableChanged`, `PrivilegeMissing`, `RowsNeeded`, `RowsClash`, `RowCountsDiffer`, `LockNotAvailable`
 */
export async function replaceRows(
  live: Connection,
  fetched: readonly FetchedTable[],
  { user, progress }: { user: string; progress: ReportProgress },
): Promise<ReplacedRows[]> {
  await lockAll(live, fetched);
  // Once more under the lock: a table may have been altered meanwhile.
  const found = await readTables(
    live,
    fetched.map(({ restored }) => restored),
  );
  const all = inOrder(fetched.map((each, at) => pairOf(each, found[at], user)));
  const selected = new Set(all.map(({ table }) => relationKey(table)));
  for (const { table } of all) await eachTrigger(live, table, () => 'DISABLE');
  // Those that can wait are looked at when every row is where it belongs.
  await live.query('SET CONSTRAINTS ALL DEFERRED');
  const told = new Map<Pair, { deleted: number; updated: number; inserted: number }>();
  const tell = (pair: Pair, more: Partial<Omit<ReplacedRows, 'schema' | 'name' | 'rows'>>) =>
    told.set(pair, { deleted: 0, updated: 0, inserted: 0, ...told.get(pair), ...more });
  const goesFirst = all.filter((pair) => deletesFirst(pair));
  const goesLast = all.filter((pair) => !goesFirst.includes(pair));
  for (const pair of goesFirst.toReversed()) tell(pair, { deleted: await deleteRows(live, pair, new Set()) });
  for (const pair of all) {
    progress({ phase: 'restoring', table: `${pair.table.schema}.${pair.table.name}` });
    // A row may refer to one that is to come; where none does, a value that is to change may stand in a new one's way.
    if (pair.table.refersToItself) tell(pair, { inserted: await insertRows(live, pair) });
    tell(pair, { updated: await updateRows(live, pair, selected) });
    if (!pair.table.refersToItself) tell(pair, { inserted: await insertRows(live, pair) });
  }
  // By now no row that stays refers to one that goes.
  for (const pair of goesLast.toReversed()) tell(pair, { deleted: await deleteRows(live, pair, selected) });
  await live.query('SET CONSTRAINTS ALL IMMEDIATE');
  const replaced: ReplacedRows[] = [];
  for (const pair of all) {
    const { schema, name } = pair.table;
    const rows = await compare(live, pair);
    replaced.push({ schema, name, rows, deleted: 0, updated: 0, inserted: 0, ...told.get(pair) });
    await raiseSequences(live, pair.table);
  }
  for (const { table } of all) await eachTrigger(live, table, ({ enable }) => enable);
  return replaced;
}

/**
 * Whether a live table can take a backup's rows, as far as it shows by itself.
 * @throws AgentError `TableNotFound`, `TableChanged`, `PrivilegeMissing`
 */
export function checkReplaceable(
  written: string,
  table: LiveTable | undefined,
  user: string,
): asserts table is LiveTable {
  if (!table) {
    throw new AgentError(
      'TableNotFound',
      `The live database has no table ${written}.`,
      'Restore it beside the live tables with --into-schema, or into a database of its own with --into.',
    );
  }
  if (table.kind === 'other' || table.hasRules) {
    throw new AgentError(
      'TableChanged',
      `${written} ${table.hasRules ? 'has rules that turn what is written to it into something else' : 'is no table whose rows are all its own'}.`,
      'Restore it beside the live tables with --into-schema, and take from it what is needed.',
    );
  }
  if (table.owns) return;
  throw new AgentError(
    'PrivilegeMissing',
    `The role ${user} does not own ${written}, whose triggers have to be still while its rows are replaced.`,
    `As a superuser run: GRANT ${quoteIdentifier(table.owner)} TO ${quoteIdentifier(user)};`,
  );
}

/** A live table under the lock, and the rows that it is to hold. */
interface Pair {
  table: LiveTable;
  rows: string;
  count: number;
  /** Columns that UPDATE sets; quoted. */
  set: string[];
  /** Those that it does not: where one differs, the row goes and comes again. */
  fixed: string[];
}

function pairOf({ restored, rows, count }: FetchedTable, table: LiveTable | undefined, user: string): Pair {
  checkReplaceable(`${restored.schema}.${restored.name}`, table, user);
  checkSameColumns(restored, table);
  const isKey = (column: string) => table.key.some(({ name }) => name === column);
  // Rows that have swapped unique values cannot be updated one after the other. Where others refer to them they have to.
  const isFixed = ({ name, always }: LiveTable['columns'][number]) =>
    !isKey(name) && (always || (!table.isReferred && table.uniqueToo.includes(name)));
  const given = table.columns.filter(({ generated }) => !generated);
  const quoted = (columns: LiveTable['columns']) => columns.map(({ name }) => quoteIdentifier(name));
  return {
    table,
    rows,
    count,
    fixed: quoted(given.filter(isFixed)),
    // A key too: what is alike to its index may be written otherwise.
    set: quoted(given.filter((column) => !isFixed(column) && !column.always)),
  };
}

/** Where nothing refers to a table its rows may go at once, and have to where they come again. */
function deletesFirst({ table, fixed }: Pair): boolean {
  return !table.isReferred || table.key.length === 0 || fixed.length > 0;
}

/** @throws AgentError `TableChanged` */
function checkSameColumns(restored: LiveTable, now: LiveTable | undefined): asserts now is LiveTable {
  const name = `${restored.schema}.${restored.name}`;
  if (!now) throw changed(name, 'it is gone');
  const typesOf = (of: LiveTable) =>
    new Map(of.columns.filter(({ generated }) => !generated).map((column) => [column.name, column.type]));
  const [after, before] = [typesOf(now), typesOf(restored)];
  const differences = [
    ...[...after.keys()].filter((column) => !before.has(column)).map((column) => `${column} was added`),
    ...[...before.keys()].filter((column) => !after.has(column)).map((column) => `${column} was dropped`),
    ...[...before]
      .filter(([column, type]) => after.has(column) && after.get(column) !== type)
      .map(([column, type]) => `${column} was ${type} and is ${after.get(column)}`),
  ];
  if (differences.length > 0) throw changed(name, differences.slice(0, 5).join(', '));
}

function changed(name: string, how: string): AgentError {
  return new AgentError(
    'TableChanged',
    `The columns of ${name} are not what they were when the backup was made: ${how}.`,
    'Nothing was changed. Restore it beside the live tables with --into-schema, and move the rows by SQL of your own.',
  );
}

/** So that what others refer to stands before what refers to it; where they refer to each other, as they came. */
function inOrder(pairs: readonly Pair[]): Pair[] {
  const byKey = new Map(pairs.map((pair) => [relationKey(pair.table), pair]));
  const ordered = new Set<Pair>();
  const begun = new Set<Pair>();
  const visit = (pair: Pair): void => {
    if (begun.has(pair)) return;
    begun.add(pair);
    for (const other of pair.table.refersTo) {
      const referred = byKey.get(relationKey(other));
      if (referred) visit(referred);
    }
    ordered.add(pair);
  };
  for (const pair of pairs) visit(pair);
  return [...ordered];
}

/** Lets others read; whoever writes waits. */
async function lockAll(live: Connection, fetched: readonly FetchedTable[]): Promise<void> {
  const names = fetched.map(({ restored }) => rowsOf(restored)).join(', ');
  try {
    await live.query(`SET LOCAL lock_timeout = '${lockLimit}'`);
    await live.query(`LOCK TABLE ${names} IN SHARE ROW EXCLUSIVE MODE`);
  } catch (cause) {
    if (!hasCode(cause, '55P03')) throw cause;
    throw new AgentError(
      'LockNotAvailable',
      `Somebody has been writing to ${names.replaceAll('ONLY ', '')} for more than ${lockLimit} without an end.`,
      'Nothing was changed. Look in pg_locks for who holds them, and run the restore again.',
      { cause },
    );
  }
}

async function eachTrigger(
  live: Connection,
  { triggers }: LiveTable,
  wordsOf: (trigger: LiveTable['triggers'][number]) => string,
): Promise<void> {
  for (const trigger of triggers) {
    const table = qualifiedName(trigger.table.schema, trigger.table.name);
    // Each for itself: those of partitions may be set otherwise than their root's.
    await live.query(`ALTER TABLE ONLY ${table} ${wordsOf(trigger)} TRIGGER ${quoteIdentifier(trigger.name)}`);
  }
}

function sameKey({ table }: Pair): string {
  return table.key
    .map(({ name, equals }) => `l.${quoteIdentifier(name)} ${equals} r.${quoteIdentifier(name)}`)
    .join(' AND ');
}

/** Compared byte by byte: not every type has an operator that says whether values are equal. */
function isOther(columns: readonly string[]): string {
  const row = (of: string) => `ROW(${columns.map((column) => `${of}.${column}`).join(', ')})::record`;
  return `${row('l')} OPERATOR(pg_catalog.*<>) ${row('r')}`;
}

/**
 * Rows that the backup does not have; without a key, all.
 * @param settled tables whose rows are the backup's already
 */
async function deleteRows(live: Connection, pair: Pair, settled: ReadonlySet<string>): Promise<number> {
  const { table, rows, fixed } = pair;
  const same = fixed.length === 0 ? sameKey(pair) : `${sameKey(pair)} AND NOT (${isOther(fixed)})`;
  const where = table.key.length === 0 ? '' : ` WHERE NOT EXISTS (SELECT FROM ${rows} r WHERE ${same})`;
  const cascades = table.cascades.filter((each) => each.deletes && !settled.has(relationKey(each.table)));
  if (cascades.length > 0) {
    await checkNone(live, `SELECT count(*) AS many FROM ${rowsOf(table)} AS l${where}`, pair, cascades);
  }
  const { rowCount } = await live.query(`DELETE FROM ${rowsOf(table)} AS l${where}`);
  return rowCount ?? 0;
}

/** @throws AgentError `RowsNeeded`: rows of other tables would be changed */
async function checkNone(
  live: Connection,
  counting: string,
  { table }: Pair,
  cascades: readonly Cascade[],
): Promise<void> {
  const { rows } = await live.query<{ many: string }>(counting);
  const many = rows[0]?.many ?? '0';
  if (many === '0') return;
  const list = cascades.map(({ name, table: { schema, name: other } }) => `${name} of ${schema}.${other}`).join(', ');
  throw new AgentError(
    'RowsNeeded',
    `${many} rows of ${table.schema}.${table.name} are not as in the backup, and by foreign keys their change would delete or change rows of other tables: ${list}.`,
    'Nothing was changed. Restore beside the live tables with --into-schema, and move the rows by SQL of your own.',
  );
}

async function updateRows(live: Connection, pair: Pair, selected: ReadonlySet<string>): Promise<number> {
  const { table, rows, set } = pair;
  if (table.key.length === 0 || set.length === 0) return 0;
  for (const cascade of table.cascades.filter((each) => each.updates && !selected.has(relationKey(each.table)))) {
    const columns = cascade.columns.map(quoteIdentifier);
    const counting = `SELECT count(*) AS many FROM ${rowsOf(table)} AS l, ${rows} AS r WHERE ${sameKey(pair)} AND ${isOther(columns)}`;
    await checkNone(live, counting, pair, [cascade]);
  }
  const setting = set.map((column) => `${column} = r.${column}`).join(', ');
  return clashTold(pair, async () =>
    live.query(
      `UPDATE ${rowsOf(table)} AS l SET ${setting} FROM ${rows} AS r WHERE ${sameKey(pair)} AND ${isOther(set)}`,
    ),
  );
}

async function insertRows(live: Connection, pair: Pair): Promise<number> {
  const { table, rows } = pair;
  const columns = givenColumns(table);
  const list = columns.join(', ');
  const target = `${qualifiedName(table.schema, table.name)}${list === '' ? '' : ` (${list})`}`;
  const where =
    table.key.length === 0 ? '' : ` WHERE NOT EXISTS (SELECT FROM ${rowsOf(table)} AS l WHERE ${sameKey(pair)})`;
  const given = columns.map((column) => `r.${column}`).join(', ');
  return clashTold(pair, async () =>
    live.query(`INSERT INTO ${target} OVERRIDING SYSTEM VALUE SELECT ${given} FROM ${rows} AS r${where}`),
  );
}

/** @returns how many rows */
async function clashTold({ table }: Pair, work: () => Promise<{ rowCount: number | null }>): Promise<number> {
  try {
    return (await work()).rowCount ?? 0;
  } catch (cause) {
    if (!hasCode(cause, '23505') && !hasCode(cause, '23P01')) throw cause;
    throw new AgentError(
      'RowsClash',
      `On their way to what the backup has, rows of ${table.schema}.${table.name} are in each other's way: ${(cause as Error).message}.`,
      'Nothing was changed. Restore beside the live tables with --into-schema, and move the rows by SQL of your own.',
      { cause },
    );
  }
}

/** @throws AgentError `RowCountsDiffer` */
async function compare(live: Connection, pair: Pair): Promise<number> {
  const { table, rows, count } = pair;
  const { rows: counted } = await live.query<{ many: string }>(`SELECT count(*) AS many FROM ${rowsOf(table)}`);
  const many = Number(counted[0]?.many);
  const columns = givenColumns(table);
  let other = 0;
  if (many === count && table.key.length > 0) {
    const { rows: compared } = await live.query<{ many: string }>(
      `SELECT count(*) AS many FROM ${rows} AS r
        WHERE NOT EXISTS (SELECT FROM ${rowsOf(table)} AS l WHERE ${sameKey(pair)} AND NOT (${isOther(columns)}))`,
    );
    other = Number(compared[0]?.many);
  }
  if (many === count && other === 0) return many;
  throw new AgentError(
    'RowCountsDiffer',
    `${table.schema}.${table.name} would hold ${many} rows where the backup has ${count}${other > 0 ? `, ${other} of them others` : ''}.`,
    'Nothing was changed. Restore it beside the live tables with --into-schema, and look at both.',
  );
}

/** So that the next number is one that no row has; never lower than it is, since numbers given out may be known elsewhere. */
async function raiseSequences(live: Connection, table: LiveTable): Promise<void> {
  const name = qualifiedName(table.schema, table.name);
  const { rows } = await live.query<{ column: string; schema: string; sequence: string; least: string; most: string }>(
    `SELECT a.attname::text AS column, n.nspname::text AS schema, s.relname::text AS sequence, q.seqmin::text AS least, q.seqmax::text AS most
       FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_namespace n ON n.oid = s.relnamespace
       JOIN pg_sequence q ON q.seqrelid = s.oid AND q.seqincrement > 0
       JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid JOIN pg_type t ON t.oid = a.atttypid
      WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
        AND coalesce(nullif(t.typbasetype, 0), t.oid) IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
        AND d.refobjid = ${quoteLiteral(name)}::regclass`,
  );
  for (const { column, schema, sequence, least, most } of rows) {
    const own = qualifiedName(schema, sequence);
    await live.query(
      `SELECT pg_catalog.setval(${quoteLiteral(own)}::pg_catalog.regclass, m.most)
         FROM (SELECT max(${quoteIdentifier(column)})::int8 AS most FROM ${rowsOf(table)}) AS m, ${own} AS s
        WHERE m.most BETWEEN ${least} AND ${most}
          AND m.most >= CASE WHEN s.is_called THEN s.last_value + 1 ELSE s.last_value END`,
    );
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
