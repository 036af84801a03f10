import { CoreError } from './errors.ts';

/** States and which may follow each; a state followed by nothing is final. */
type Table<State extends string> = Readonly<Record<State, readonly State[]>>;

/** A kind of thing that has states. Nothing sets a state but through `move`. */
export class States<State extends string> {
  readonly kind: string;
  readonly initial: State;
  readonly #table: Table<State>;

  constructor(kind: string, initial: State, table: Table<State>) {
    this.kind = kind;
    this.initial = initial;
    this.#table = table;
  }

  get all(): readonly State[] {
    return Object.keys(this.#table) as State[];
  }

  /** Whether nothing follows `state`. */
  isFinal(state: State): boolean {
    return this.#table[state].length === 0;
  }

  canMove(from: State, to: State): boolean {
    return this.#table[from].includes(to);
  }

  /**
   * The steps that lead from one state to another, the last of them `to`; none where it is there already, undefined where
   * no way leads there. The shortest way, and of those the one whose steps stand first in the table.
   */
  path(from: State, to: State): State[] | undefined {
    const ways = new Map<State, State[]>([[from, []]]);
    for (const [state, way] of ways) {
      if (state === to) return way;
      for (const next of this.#table[state]) if (!ways.has(next)) ways.set(next, [...way, next]);
    }
    return undefined;
  }

  /**
   * The only way from one state to another: returns `to`.
   * @throws CoreError `IllegalTransition` where the table has no such step
   */
  move<To extends State>(from: State, to: To): To {
    if (this.canMove(from, to)) return to;
    throw new CoreError(
      'IllegalTransition',
      `A ${this.kind} cannot go from ${from} to ${to}.`,
      `From ${from} it can go to: ${this.#table[from].join(', ') || 'nothing, it is final'}.`,
    );
  }
}

export type RunState =
  | 'queued'
  | 'dispatched'
  | 'running'
  | 'cancelling'
  | 'succeeded'
  | 'failed'
  | 'cancelled'
  | 'expired'
  | 'lost';

/**
 * `expired`: nobody said in time that it had begun. `lost`: the agent forgot the run. Both are what is thought from afar, and
 * a late report may still supersede them: a host that was cut off may have done all of it meanwhile.
 */
export const runStates = new States<RunState>('run', 'queued', {
  queued: ['dispatched', 'running', 'cancelled', 'expired'],
  dispatched: ['running', 'failed', 'cancelled', 'expired', 'lost'],
  running: ['cancelling', 'succeeded', 'failed', 'lost'],
  cancelling: ['cancelled', 'succeeded', 'failed', 'lost'],
  succeeded: [],
  failed: [],
  cancelled: [],
  expired: ['running', 'succeeded', 'failed', 'cancelled'],
  lost: ['succeeded', 'failed', 'cancelled'],
});

export type CopyState =
  | 'uploading'
  | 'stored'
  | 'verified'
  | 'corrupt'
  | 'missing'
  | 'locked'
  | 'deleting'
  | 'deleted'
  | 'failed';

/** `failed` may be tried again from a good copy; `locked` is a deletion that Object Lock refused until a date. */
export const copyStates = new States<CopyState>('copy', 'uploading', {
  uploading: ['stored', 'failed'],
  stored: ['verified', 'corrupt', 'missing', 'deleting'],
  verified: ['verified', 'corrupt', 'missing', 'deleting'],
  corrupt: ['uploading', 'verified', 'missing', 'deleting'],
  missing: ['uploading', 'stored', 'verified', 'deleting'],
  // A removal that was cut short and is not to be any more: its dump may still be there.
  deleting: ['deleted', 'locked', 'stored', 'missing'],
  locked: ['deleting', 'verified', 'corrupt', 'missing'],
  failed: ['uploading'],
  deleted: [],
});

export type BackupState = 'running' | 'succeeded' | 'failed';

export const backupStates = new States<BackupState>('backup', 'running', {
  running: ['succeeded', 'failed'],
  succeeded: [],
  failed: [],
});

export type CommandState = 'queued' | 'delivered' | 'acknowledged' | 'done' | 'expired' | 'refused';

export const commandStates = new States<CommandState>('command', 'queued', {
  queued: ['delivered', 'expired'],
  delivered: ['delivered', 'acknowledged', 'refused', 'expired'],
  // Acknowledged is written down, not begun: its time may pass while the agent is busy.
  acknowledged: ['done', 'expired', 'refused'],
  done: [],
  // By the control plane's clock; the agent may have taken it on in time, and its word of that be late.
  expired: ['acknowledged'],
  refused: [],
});

export type AlertState = 'open' | 'acknowledged' | 'silenced' | 'resolved';

export const alertStates = new States<AlertState>('alert', 'open', {
  open: ['acknowledged', 'silenced', 'resolved'],
  acknowledged: ['silenced', 'resolved'],
  silenced: ['open', 'acknowledged', 'resolved'],
  resolved: [],
});

export type NoticeState = 'waiting' | 'sent' | 'failed' | 'superseded';

/** `failed`: it is not tried any more. `superseded`: a newer one tells it too. */
export const noticeStates = new States<NoticeState>('notice', 'waiting', {
  waiting: ['sent', 'failed', 'superseded'],
  sent: [],
  failed: [],
  superseded: [],
});
