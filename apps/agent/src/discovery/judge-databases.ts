import { safeName } from '@strideiq/core';
import { isKeptName } from '../in-place/kept-names.ts';
import { isScratchName } from '../restore/run-restore.ts';
import type { DatabaseOnServer } from './ask-server.ts';
import { matchesName } from './matches-name.ts';

/** A database of a server that this host does not look after. */
export interface LeftOut {
  name: string;
  /** What completes `it …`. */
  why: string;
  /** What to do about it; absent where it is meant to be left out. */
  cure?: string;
}

export interface Judged {
  taken: string[];
  leftOut: LeftOut[];
}

/** What this host looks after anyway. */
export interface Known {
  /** Patterns of the server's entry. */
  exclude: readonly string[];
  /** Databases of the same server that have an entry of their own: its name, by the name on the server. */
  own: ReadonlyMap<string, string>;
  /** Names that databases of this host bear already, wherever they are. */
  names: ReadonlySet<string>;
  /** Those of this server that are looked after already: they are never too many. */
  held: ReadonlySet<string>;
  /** How many this host can look after here. */
  room: number;
}

/** How many databases a host looks after at most: more of them would not fit into what it says of itself (hello). */
export const mostDatabases = 500;

/** Which databases of a server are looked after, and why the others are not. */
export function judgeDatabases(found: readonly DatabaseOnServer[], known: Known): Judged {
  const judged: Judged = { taken: [], leftOut: [] };
  // Those that are known come first: a new one takes no place from them.
  const isNew = ({ name }: DatabaseOnServer) => Number(!known.held.has(name));
  for (const database of found.toSorted((one, other) => isNew(one) - isNew(other))) {
    const { name } = database;
    const reason =
      meantToBeLeftOut(database, known) ??
      cannotBeTaken(name, known) ??
      (known.held.has(name) ? undefined : noRoom(judged.taken.length, known.room));
    if (reason) judged.leftOut.push({ name, ...reason });
    else judged.taken.push(name);
  }
  return judged;
}

type Reason = Omit<LeftOut, 'name'>;

function meantToBeLeftOut(
  { name, isTemplate, allowsConnections, isHalfDropped }: DatabaseOnServer,
  { exclude, own }: Known,
): Reason | undefined {
  const entry = own.get(name);
  if (entry !== undefined) return { why: `has an entry of its own, ${entry}` };
  const pattern = exclude.find((each) => matchesName(each, name));
  if (pattern !== undefined) return { why: `is excluded by ${JSON.stringify(pattern)}` };
  if (isTemplate) return { why: 'is a template' };
  if (isHalfDropped) return { why: 'was being dropped, which was not finished' };
  if (!allowsConnections) return { why: 'allows no connection' };
  if (isScratchName(name)) return { why: 'is the scratch database of a restore or drill' };
  if (isKeptName(name)) return { why: 'is one that a restore in place has replaced, by its name' };
  return undefined;
}

const ownEntry = (name: string): string =>
  `Give it an entry of its own under databases, with a name of its own and connection: { database: ${JSON.stringify(name)} } beside host and user; or name it under exclude.`;

function cannotBeTaken(name: string, { names }: Known): Reason | undefined {
  if (!safeName.test(name)) {
    return {
      why: 'has a name that cannot stand in the name of a backup: letters, digits, dot, dash and underscore can, beginning with a letter or digit',
      cure: ownEntry(name),
    };
  }
  return names.has(name)
    ? { why: 'has the name of another database that this host looks after', cure: ownEntry(name) }
    : undefined;
}

function noRoom(taken: number, room: number): Reason | undefined {
  if (taken < room) return undefined;
  return {
    why: `is one too many: a host looks after ${mostDatabases} at most`,
    cure: 'Exclude databases that need no backup, or let an agent with another state directory look after some of them.',
  };
}
