import type { Journal } from '../journal/journal.ts';
import type { LiveServer, LiveSession } from '../in-place/live-database.ts';
import type { Checked } from './check-first.ts';
import { comparedTables } from './selection.ts';
import type { TargetServer } from './target.ts';

/** Sessions of one user and application. */
export interface SessionGroup extends LiveSession {
  count: number;
}

/** What a restore would do, found out without doing any of it. */
export interface RestorePlan {
  mode: 'fresh' | 'inPlace';
  /** Name of the database that would hold the backup. */
  into: string;
  backupId: string | undefined;
  /** When the data are of, ISO 8601. */
  takenAt: string | undefined;
  /** Why its SQL may run; or, where it is not trusted, why not. */
  trust: { trusted: boolean; because: string };
  rows: number | undefined;
  tables: number | undefined;
  /** Of the server that was dumped, and of the one it would go to. */
  serverVersions: { source: string | undefined; targetNumber: number };
  neededBytes: number | undefined;
  /** Undefined where this host cannot see the server's disk. */
  freeBytes: number | undefined;
  /** From what earlier restores of this database took; undefined where there was none. */
  estimatedSeconds: number | undefined;
  /** Of a restore in place: the sessions that the swap would end, by user and application. */
  sessions?: SessionGroup[];
  /** Of a restore in place: what the replaced database would be called. */
  keptAs?: string;
}

export function planOf(
  journal: Journal,
  { into, databaseId }: { into: string; databaseId: string },
  { trust, server, space, selection }: Checked<TargetServer | LiveServer>,
): RestorePlan {
  const { manifest } = trust;
  const tables = comparedTables(selection, manifest);
  const rows = tables?.reduce((sum, table) => sum + table.rows, 0);
  return {
    mode: 'live' in server ? 'inPlace' : 'fresh',
    into,
    backupId: manifest?.backupId,
    takenAt: manifest?.snapshot.takenAt,
    trust: { trusted: trust.trusted, because: trust.because },
    rows,
    tables: tables?.length,
    serverVersions: { source: manifest?.source.serverVersion, targetNumber: server.versionNumber },
    ...space,
    estimatedSeconds: rows === undefined ? undefined : estimatedSeconds(journal, databaseId, rows),
    ...('live' in server ? { sessions: grouped(server.live.sessions), keptAs: server.keptAs } : {}),
  };
}

/** By rows, from the newest restore of this database that went well. */
function estimatedSeconds(journal: Journal, databaseId: string, rows: number): number | undefined {
  const before = journal
    .recent(databaseId, 'restore')
    .find(({ state, finishedAt, detail }) => state === 'succeeded' && finishedAt !== null && (detail.rows ?? 0) > 0);
  if (!before || before.finishedAt === null) return undefined;
  const seconds = (before.finishedAt - before.startedAt) / 1000;
  return Math.max(1, Math.round((seconds * rows) / (before.detail.rows ?? 1)));
}

function grouped(sessions: readonly LiveSession[]): SessionGroup[] {
  const groups = new Map<string, SessionGroup>();
  for (const { user, application } of sessions) {
    const key = JSON.stringify([user, application]);
    const group = groups.get(key) ?? { user, application, count: 0 };
    groups.set(key, { ...group, count: group.count + 1 });
  }
  return [...groups.values()].toSorted((one, other) => other.count - one.count);
}
