/** A lock that a piece of work takes on a relation, or on all relations of a partitioned table. */
export interface Lock {
  /** What the relations of one partitioned table have in common; of any other relation its own. */
  family: string;
  /** Left out: the whole family. */
  relation?: string;
  /** Two that are shared do not conflict. */
  mode: 'share' | 'exclusive';
}

/** A piece of work, in the dump's order among the others. */
export interface Task<Work> {
  work: Work;
  /** About how long it takes, in any unit; the longest way to the end is begun first. */
  weight: number;
  /** What has to be done before; all of it stands earlier in the list. */
  after?: readonly Task<Work>[];
  /** It has to wait for everything that stands earlier in the list. */
  afterAll?: boolean;
  /** It may lock anything: nothing runs beside it. */
  alone?: boolean;
  locks?: readonly Lock[];
}

/** Decides what runs next. What it hands out never conflicts with what runs, and never comes before what it needs. */
export class Schedule<Work> {
  readonly #tasks: readonly Task<Work>[];
  readonly #places: ReadonlyMap<Task<Work>, number>;
  readonly #dependents: number[][];
  /** How many tasks each one still waits for, by `after`. */
  readonly #open: number[];
  readonly #ranks: number[];
  readonly #state: ('waiting' | 'ready' | 'running' | 'done')[];
  /** By rank, the highest first. */
  readonly #ready: number[] = [];
  readonly #held = new HeldLocks();
  #running = 0;
  #aloneRuns = false;
  /** Everything before this place is done. */
  #firstOpen = 0;

  constructor(tasks: readonly Task<Work>[]) {
    this.#tasks = tasks;
    this.#places = new Map(tasks.map((task, place) => [task, place]));
    this.#dependents = tasks.map(() => []);
    this.#open = tasks.map(({ after = [] }) => after.length);
    this.#state = tasks.map(() => 'waiting');
    for (const [place, { after = [] }] of tasks.entries()) {
      for (const one of after) this.#dependents[this.#placeOf(one)]?.push(place);
    }
    this.#ranks = this.#rank();
    for (const place of tasks.keys()) this.#makeReady(place);
  }

  /** The next piece of work, which runs from now on; undefined where nothing may begin before something else has ended. */
  next(): Task<Work> | undefined {
    if (this.#aloneRuns) return undefined;
    const at = this.#ready.findIndex((place) => this.#mayRun(place));
    const place = at < 0 ? undefined : this.#ready.splice(at, 1)[0];
    const task = place === undefined ? undefined : this.#tasks[place];
    if (place === undefined || !task) return undefined;
    this.#state[place] = 'running';
    this.#running++;
    this.#aloneRuns = task.alone ?? false;
    for (const lock of task.locks ?? []) this.#held.add(lock);
    return task;
  }

  done(task: Task<Work>): void {
    const place = this.#placeOf(task);
    this.#state[place] = 'done';
    this.#running--;
    this.#aloneRuns = false;
    for (const lock of task.locks ?? []) this.#held.remove(lock);
    for (const dependent of this.#dependents[place] ?? []) {
      this.#open[dependent] = (this.#open[dependent] ?? 0) - 1;
      this.#makeReady(dependent);
    }
    while (this.#state[this.#firstOpen] === 'done') this.#firstOpen++;
    this.#makeReady(this.#firstOpen);
  }

  /** All is done. */
  get ended(): boolean {
    return this.#firstOpen >= this.#tasks.length;
  }

  #placeOf(task: Task<Work>): number {
    const place = this.#places.get(task);
    if (place === undefined) throw new Error('The task is not in the schedule.');
    return place;
  }

  /** Of each task, how long the longest way from its beginning to the end is. */
  #rank(): number[] {
    const ranks = this.#tasks.map(({ weight }) => weight);
    for (let place = ranks.length - 1; place >= 0; place--) {
      const longest = (this.#dependents[place] ?? []).reduce((most, one) => Math.max(most, ranks[one] ?? 0), 0);
      ranks[place] = (ranks[place] ?? 0) + longest;
    }
    return ranks;
  }

  #makeReady(place: number): void {
    const task = this.#tasks[place];
    if (!task || this.#state[place] !== 'waiting' || this.#open[place] !== 0) return;
    if (task.afterAll && place !== this.#firstOpen) return;
    this.#state[place] = 'ready';
    // What must run alone comes last, when nothing else is left to run beside it.
    const rank = task.alone ? -1 : (this.#ranks[place] ?? 0);
    let low = 0;
    for (let high = this.#ready.length; low < high;) {
      const middle = (low + high) >>> 1;
      const other = this.#ready[middle] ?? 0;
      const otherRank = this.#tasks[other]?.alone ? -1 : (this.#ranks[other] ?? 0);
      if (otherRank >= rank) low = middle + 1;
      else high = middle;
    }
    this.#ready.splice(low, 0, place);
  }

  #mayRun(place: number): boolean {
    const task = this.#tasks[place];
    if (!task) return false;
    if (task.alone) return this.#running === 0;
    return (task.locks ?? []).every((lock) => !this.#held.conflictsWith(lock));
  }
}

/** Locks of all that runs, counted. */
class HeldLocks {
  readonly #families = new Map<string, Map<string | undefined, { share: number; exclusive: number }>>();

  add({ family, relation, mode }: Lock): void {
    const held = this.#families.get(family) ?? new Map<string | undefined, { share: number; exclusive: number }>();
    const counts = held.get(relation) ?? { share: 0, exclusive: 0 };
    counts[mode]++;
    this.#families.set(family, held.set(relation, counts));
  }

  remove({ family, relation, mode }: Lock): void {
    const held = this.#families.get(family);
    const counts = held?.get(relation);
    if (!held || !counts) return;
    counts[mode]--;
    if (counts.share + counts.exclusive === 0) held.delete(relation);
    if (held.size === 0) this.#families.delete(family);
  }

  conflictsWith({ family, relation, mode }: Lock): boolean {
    const held = this.#families.get(family);
    if (!held) return false;
    const conflicting = relation === undefined ? [...held.values()] : [held.get(relation), held.get(undefined)];
    return conflicting.some((counts) => counts && (counts.exclusive > 0 || (mode === 'exclusive' && counts.share > 0)));
  }
}
