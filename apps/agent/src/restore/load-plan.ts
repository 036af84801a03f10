import {
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
}

/** Puts all work of a load after pre-data in the dump's order, with what each piece needs and locks. */
export function planLoad({ data, restRawBytes, items, session, made }: PlannedLoad): LoadTask[] {
  const tasks: LoadTask[] = data.rows.map((rows) => ({
    work: { kind: 'rows', rows },
    weight: rows.rawBytes,
    locks: [...rows.tables].flatMap((key) => locksOf(made.relations.get(key), key, 'exclusive')),
  }));
  const writers = new Writers(tasks, made);
  tasks.push({ work: { kind: 'rest' }, weight: restRawBytes, afterAll: true });
  if (!items) tasks.push({ work: { kind: 'post-data' }, weight: 0, afterAll: true, alone: true });
  else tasks.push(...new ItemTasks(data, made, writers).of(items, session));
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

  constructor(data: DataPlan, made: MadeObjects, writers: Writers) {
    this.#data = data;
    this.#made = made;
    this.#writers = writers;
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

function indexWeight(method: string, size: TableSize | undefined): number {
  const { row, byte } = methodCosts[method] ?? unknownCost;
  return (size?.rows ?? 0) * row + (size?.rawBytes ?? 0) * byte;
}
