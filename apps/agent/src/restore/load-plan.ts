import {
  ItemTables,
  relationKey,
  workOf,
  type DumpSession,
  type ItemWork,
  type PostDataItem,
  type RelationName,
} from '@strideiq/dump';
import type { DataPlan, RowsWork, TableSize } from './data-plan.ts';
import type { MadeObjects, Relation } from './relations.ts';
import type { Lock, Task } from './schedule.ts';

/** What a worker of a load is given to do. */
export type LoadWork =
  | { kind: 'rows'; rows: RowsWork }
  /** What stands in the data section beside rows: sequences' values, large objects, tables of extensions. */
  | { kind: 'rest' }
  | { kind: 'item'; item: PostDataItem }
  /** Gathers the planner's statistics of a table. */
  | { kind: 'analyze'; table: RelationName }
  /** All of post-data, statement by statement: it is not what pg_dump writes. */
  | { kind: 'post-data' };

export type LoadTask = Task<LoadWork>;

/** What a plan is made of. */
export interface PlannedLoad {
  data: DataPlan;
  /** Bytes of SQL beside rows, about. */
  restRawBytes: number;
  /** Undefined where post-data is to be run as it stands. */
  items: readonly PostDataItem[] | undefined;
  session: DumpSession;
  made: MadeObjects;
  /** Whether large tables are analyzed as soon as they are done. */
  analyze: boolean;
}

/** Puts all work of a load after pre-data in the dump's order, with what each piece needs and locks. */
export function planLoad({ data, restRawBytes, items, session, made, analyze }: PlannedLoad): LoadTask[] {
  const tasks: LoadTask[] = data.rows.map((rows) => ({
    work: { kind: 'rows', rows },
    weight: rows.rawBytes,
    locks: [...rows.tables].flatMap((key) => locksOf(made.relations.get(key), key, 'exclusive')),
  }));
  const writers = new Writers(tasks, made);
  tasks.push({ work: { kind: 'rest' }, weight: restRawBytes, afterAll: true });
  if (!items) tasks.push({ work: { kind: 'post-data' }, weight: 0, afterAll: true, alone: true });
  else {
    const itemTasks = new ItemTasks(data, made, writers, session.scan.clientEncoding);
    tasks.push(...itemTasks.of(items, session));
    if (analyze) tasks.push(...itemTasks.analyzes());
  }
  return tasks;
}

/** A partitioned table's own statements reach into its partitions. */
function locksOf(relation: Relation | undefined, key: string, mode: Lock['mode']): Lock[] {
  if (!relation) return [];
  const { family, kind } = relation;
  return [kind === 'partitioned table' ? { family, mode: 'exclusive' } : { family, relation: key, mode }];
}

/** Which tasks load rows of which relations. */
class Writers {
  readonly #of = new Map<string, LoadTask[]>();
  readonly #family = new Map<string, LoadTask[]>();
  /** Those that load through a partitioned table, into partitions that nobody can tell. */
  readonly #roots = new Map<string, LoadTask[]>();

  constructor(tasks: readonly LoadTask[], { relations }: MadeObjects) {
    for (const task of tasks) {
      if (task.work.kind !== 'rows') continue;
      for (const key of task.work.rows.tables) {
        const relation = relations.get(key);
        if (!relation) continue;
        push(this.#of, key, task);
        push(this.#family, relation.family, task);
        if (relation.kind === 'partitioned table') push(this.#roots, relation.family, task);
      }
    }
  }

  of(key: string, { family, kind }: Relation): readonly LoadTask[] {
    if (kind === 'partitioned table') return this.#roots.get(family) ?? [];
    return [...(this.#of.get(key) ?? []), ...(this.#roots.get(family) ?? [])];
  }

  ofFamily({ family }: Relation): readonly LoadTask[] {
    return this.#family.get(family) ?? [];
  }
}

function push<Value>(map: Map<string, Value[]>, key: string, value: Value): void {
  const values = map.get(key);
  if (values) values.push(value);
  else map.set(key, [value]);
}

/** What ANALYZE has to find there already: it looks at expressions of indexes, and at what extended statistics ask for. */
const seenByAnalyze = new Set(['INDEX', 'CONSTRAINT', 'STATISTICS']);

/** Smaller tables are analyzed together at the end. */
const leastAnalyzedBytes = 16 * 1024 * 1024;

/** What a foreign key may need of what stands before it: the unique index that it refers to. */
const keyTypes = new Set(['INDEX', 'CONSTRAINT', 'INDEX ATTACH']);

/** Makes tasks of post-data's items, in their order. */
class ItemTasks {
  readonly #data: DataPlan;
  readonly #made: MadeObjects;
  readonly #writers: Writers;
  /** Indexes so far, by family. */
  readonly #indexes = new Map<string, LoadTask[]>();
  /** The last one in the dump's order that may make a unique index. */
  #lastOrderedKey: LoadTask | undefined;
  readonly #tables: ItemTables;
  /** Tables, by `relationKey`, of which something that ANALYZE looks at comes after everything else; undefined: any may be. */
  #seenLate: Set<string> | undefined = new Set();

  constructor(data: DataPlan, made: MadeObjects, writers: Writers, clientEncoding: string) {
    this.#data = data;
    this.#made = made;
    this.#writers = writers;
    this.#tables = new ItemTables(clientEncoding);
  }

  /** ANALYZE of each large table, once its rows and indexes are there: another worker may still be at something long. */
  analyzes(): LoadTask[] {
    const { relations } = this.#made;
    const members = new Map<string, number>();
    for (const { family } of relations.values()) members.set(family, (members.get(family) ?? 0) + 1);
    return [...relations].flatMap(([key, relation]) => {
      const { kind, family, fromExtension, inherited, schema, name } = relation;
      const size = this.#data.sizes.get(key);
      const after = [...this.#writers.of(key, relation), ...(this.#indexes.get(family) ?? [])];
      const isAlone = kind === 'table' && members.get(family) === 1 && !fromExtension && !inherited;
      if (!isAlone || !size || size.rawBytes < leastAnalyzedBytes || after.length === 0) return [];
      if (this.#seenLate?.has(key) !== false || !isPlain(`${schema}${name}`)) return [];
      const work: LoadWork = { kind: 'analyze', table: { schema, name } };
      return [{ work, weight: analyzeWeight(size), after, locks: locksOf(relation, key, 'exclusive') }];
    });
  }

  of(items: readonly PostDataItem[], session: DumpSession): LoadTask[] {
    return items.map((item) => this.#taskOf(item, workOf(item, session, this.#made.enums)));
  }

  #taskOf(item: PostDataItem, found: ItemWork): LoadTask {
    const work: LoadWork = { kind: 'item', item };
    if (found.kind === 'index') {
      const relation = this.#known(found.table);
      if (relation) return this.#index(work, found, relation);
    }
    if (found.kind === 'foreign-key') {
      const [table, references] = [this.#known(found.table), this.#known(found.references)];
      if (table && references) return this.#foreignKey(work, found.table, [table, references]);
    }
    const task: LoadTask = { work, weight: 0, afterAll: true, alone: true };
    if (!item.toc || keyTypes.has(item.toc.type)) this.#lastOrderedKey = task;
    if (!item.toc || seenByAnalyze.has(item.toc.type)) {
      const about = this.#tables.of(item);
      if (!about) this.#seenLate = undefined;
      for (const table of about ?? []) this.#seenLate?.add(relationKey(table));
    }
    return task;
  }

  /** A relation of the database's own making; about one of an extension nothing is certain. */
  #known(name: RelationName): Relation | undefined {
    const relation = this.#made.relations.get(relationKey(name));
    return relation?.fromExtension ? undefined : relation;
  }

  #index(work: LoadWork, found: Extract<ItemWork, { kind: 'index' }>, relation: Relation): LoadTask {
    const key = relationKey(found.table);
    const task: LoadTask = {
      work,
      weight: indexWeight(found.method, this.#data.sizes.get(key)),
      after: [...new Set(this.#writers.of(key, relation))],
      locks: locksOf(relation, key, found.lock),
    };
    push(this.#indexes, relation.family, task);
    return task;
  }

  #foreignKey(work: LoadWork, table: RelationName, families: readonly Relation[]): LoadTask {
    const before = families.flatMap((one) => [
      ...this.#writers.ofFamily(one),
      ...(this.#indexes.get(one.family) ?? []),
    ]);
    if (this.#lastOrderedKey) before.push(this.#lastOrderedKey);
    return {
      work,
      weight: (this.#data.sizes.get(relationKey(table))?.rows ?? 0) * 20,
      after: [...new Set(before)],
      locks: [...new Set(families.map(({ family }) => family))].map((family) => ({ family, mode: 'exclusive' })),
    };
  }
}

/** About as many bytes of rows as could be loaded meanwhile: a row costs so many, and so do the bytes that are looked into. */
const methodCosts: Record<string, { row: number; byte: number }> = {
  btree: { row: 40, byte: 0.05 },
  hash: { row: 30, byte: 0 },
  brin: { row: 5, byte: 0.02 },
  gist: { row: 300, byte: 0.1 },
  spgist: { row: 150, byte: 0.1 },
  gin: { row: 200, byte: 1 },
};
const unknownCost = { row: 200, byte: 0.5 };

/** PostgreSQL takes this many rows of each table at its default target (PostgreSQL docs, "default_statistics_target"). */
const sampledRows = 30_000;

function analyzeWeight({ rows, rawBytes }: TableSize): number {
  const sampled = Math.min(rows, sampledRows);
  return sampled * 4000 + (rows === 0 ? 0 : (rawBytes / rows) * sampled * 0.3);
}

/** Whether a name reads the same in every encoding. */
function isPlain(name: string): boolean {
  return /^[ -~]*$/.test(name);
}

function indexWeight(method: string, size: TableSize | undefined): number {
  const { row, byte } = methodCosts[method] ?? unknownCost;
  return (size?.rows ?? 0) * row + (size?.rawBytes ?? 0) * byte;
}
