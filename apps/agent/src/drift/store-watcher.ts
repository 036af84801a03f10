import { driftOf, fixedNames, type Drift, type ExpectedCopy } from '@strideiq/core';
import { mostReportedDrift } from '@strideiq/protocol';
import { sourceOf } from '../backups/resolve-reference.ts';
import type { Host } from '../compose.ts';
import type { DatabaseConfiguration } from '../configuration/index.ts';
import { Attempts } from '../daemon/attempts.ts';
import { eachDatabase } from '../daemon/each-database.ts';
import type { Events } from '../daemon/events.ts';
import type { Run, SealedBackup } from '../journal/schema.ts';
import { mostBackups } from '../retention/most-backups.ts';
import { StoreRetention } from '../retention/store-retention.ts';
import { inTime } from '../stores/in-time.ts';
import type { OpenedStore } from '../stores/opened-store.ts';
import { ownsPrefix } from '../stores/prefix-owner.ts';
import { reportCopy } from '../verify/report-copy.ts';
import { verifyCopy } from '../verify/verify-copy.ts';

/** How often a store is compared with what this host knows. */
const everyMs = 3_600_000;

/** A copy in a bucket that the control plane looks after is made again no more often than this. */
const againAfterMs = 7 * 24 * 3_600_000;

/** A copy that this host has stored. */
interface StoredCopy {
  dumpKey: string;
  backupId: string;
  sealed: SealedBackup;
  /** When it was made from another copy, where it was; milliseconds since 1970. */
  madeAt: number | undefined;
}

interface Place {
  host: Host;
  database: DatabaseConfiguration;
  databaseId: string;
  opened: OpenedStore;
}

/**
 * Compares each store with what this host knows to be in it, hourly: a copy that is gone or has another size is found so, and
 * made again from a good one where there is one; one in a directory that was written again is read back.
 */
export class StoreWatcher {
  readonly #host: Host;
  readonly #events: Events;
  /** By database: opening its stores. */
  readonly #opening: Attempts;
  /** By store: comparing it. What it takes to list one is not asked of it more often than where all is well. */
  readonly #comparing: Attempts;

  constructor(host: Host, events: Events) {
    this.#host = host;
    this.#events = events;
    const { now } = host.surroundings;
    this.#opening = new Attempts({ now, events });
    this.#comparing = new Attempts({ now, events, waitsMs: [everyMs] });
  }

  /** To be called each minute or so. Rejects with the signal's reason alone. */
  async look(signal: AbortSignal): Promise<void> {
    await eachDatabase(this.#host, signal, async (host, database) => {
      const failure = `could not look into the stores of ${database.name}`;
      await this.#opening.attempt(database.name, failure, signal, async () => this.#lookAt(host, database));
    });
  }

  async #lookAt(host: Host, database: DatabaseConfiguration): Promise<void> {
    const { signal } = host.surroundings;
    const databaseId = host.databaseIdOf(database);
    for (const opened of await host.storesOf(database)) {
      const { store, name } = opened;
      if (this.#isDue(store.storeId)) {
        const failure = `could not compare ${name} of ${database.name} with what is known of it`;
        await this.#comparing.attempt(store.storeId, failure, signal, async () =>
          this.#compare({ host, database, databaseId, opened }, signal),
        );
      }
      signal.throwIfAborted();
    }
  }

  #isDue(storeId: string): boolean {
    const now = this.#host.surroundings.now();
    const lookedAt = this.#host.journal.surveys.of(storeId)?.lookedAt ?? Number.NEGATIVE_INFINITY;
    // A clock that was set back does not make it wait for longer.
    return now - lookedAt >= everyMs || now < lookedAt;
  }

  async #compare(place: Place, signal: AbortSignal): Promise<void> {
    const { host, database, databaseId, opened } = place;
    const { journal, surroundings } = host;
    const { storeId } = opened.store;
    const before = journal.surveys.of(storeId);
    // Read before the listing, so that nothing is missed that came meanwhile.
    const stored = storedIn(journal.madeOf(databaseId, mostBackups), storeId);
    const known = new Set(journal.sealedOf(databaseId).keys());
    const found = await inTime(
      this.#found(place, { stored, known, dates: before?.dates ?? {} }),
      opened,
      database.dump.stallLimitMs,
      signal,
    );
    await this.#act(place, found, stored, signal);
    for (const { kind, key, text } of found.drift) {
      if (!before?.items.some((each) => each.kind === kind && each.key === key))
        this.#events.warn(`${opened.name} of ${database.name}: ${text}`);
    }
    const items = found.drift.slice(0, mostReportedDrift);
    journal.surveys.note(databaseId, { storeId, lookedAt: surroundings.now(), items, dates: found.dates });
  }

  async #found(
    { host, database, databaseId, opened }: Place,
    {
      stored,
      known,
      dates,
    }: { stored: readonly StoredCopy[]; known: ReadonlySet<string>; dates: Record<string, number> },
  ): Promise<Found> {
    const listed = await Array.fromAsync(opened.store.list());
    if (stored.length > 0 && opened.kind === 'directory' && !(await ownsPrefix(opened, databaseId))) {
      const text = `${opened.store.location} does not say any more that it is this database's: is its disk mounted? Nothing in it was compared.`;
      return { drift: [{ kind: 'missing', key: fixedNames.owner, text }], dates, back: [] };
    }
    const objects = listed.map(({ key, sizeBytes, modifiedAt }) => ({
      key,
      sizeBytes,
      modifiedAt: modifiedAt.getTime(),
    }));
    const byKey = new Map(objects.map((object) => [object.key, object]));
    const gone = stored.filter(({ dumpKey }) => !byKey.has(dumpKey));
    // The control plane removes what is in a bucket by the same rules. What was made again there and is gone once more somebody
    // takes away who goes by others: it is not brought back each hour.
    const isItsBucket = opened.kind === 's3' && host.configuration.controlPlane !== undefined;
    const since = host.surroundings.now() - againAfterMs;
    const wanted = gone.filter(({ madeAt = Number.NEGATIVE_INFINITY }) => !isItsBucket || madeAt < since);
    const retention = new StoreRetention(host, database, opened);
    // What retention would not keep, were it there, it has removed.
    const missing = await retention.wouldKeep(wanted.map(({ sealed }) => sealed));
    const expected = stored
      .filter(({ dumpKey }) => byKey.has(dumpKey) || missing.has(dumpKey))
      .map(({ dumpKey, sealed }): ExpectedCopy => ({
        key: dumpKey,
        sizeBytes: sealed.bytes,
        modifiedAt: dates[dumpKey] ?? null,
      }));
    const drift = driftOf({ now: host.surroundings.now(), objects, expected, known });
    const differing = new Set(drift.map(({ key }) => key));
    const firstDates = expected.flatMap(({ key, modifiedAt }): [string, number][] => {
      const date = modifiedAt ?? byKey.get(key)?.modifiedAt;
      return date === undefined || !byKey.has(key) ? [] : [[key, date]];
    });
    return {
      drift,
      dates: Object.fromEntries(firstDates),
      back: expected.flatMap(({ key }) => (differing.has(key) ? [] : [key])),
    };
  }

  /** What was found of copies is written down as reading them back would. */
  async #act(
    { host, databaseId, opened }: Place,
    found: Found,
    stored: readonly StoredCopy[],
    signal: AbortSignal,
  ): Promise<void> {
    const { journal, key: signingKey } = host;
    const { storeId } = opened.store;
    const findings = journal.copies.foundIn(storeId);
    const byKey = new Map(stored.map((copy) => [copy.dumpKey, copy]));
    const note = (
      { dumpKey, backupId, sealed }: StoredCopy,
      state: 'missing' | 'corrupt' | 'stored',
      problems: string[],
    ) => {
      if (findings.get(dumpKey) === state) return;
      const size = state === 'stored' ? { sizeBytes: sealed.bytes } : {};
      journal.copies.found({ databaseId, backupId, storeId, key: dumpKey, state, problems, ...size });
    };
    for (const { kind, key, text } of found.drift) {
      const copy = byKey.get(key);
      if (!copy) continue;
      if (kind === 'missing') note(copy, 'missing', [text]);
      // Without its manifest it is no backup: made again, it has one.
      if (kind === 'resized' || kind === 'incomplete') note(copy, 'corrupt', [text]);
      if (kind !== 'changed' || opened.kind !== 'directory') continue;
      const source = { ...(await sourceOf(opened, key)), databaseId };
      const verification = await verifyCopy(source, { key: signingKey, journal, progress: () => undefined, signal });
      reportCopy(
        journal,
        { databaseId, backupId: copy.backupId, manifest: source.found?.manifest },
        verification,
        opened,
      );
      // What it is now is known.
      delete found.dates[key];
    }
    for (const key of found.back) {
      const copy = byKey.get(key);
      if (copy && findings.get(key) === 'missing') note(copy, 'stored', []);
    }
  }
}

interface Found {
  drift: Drift[];
  /** First dates of the copies that are there. */
  dates: Record<string, number>;
  /** Keys of copies that are as they should be. */
  back: string[];
}

function storedIn(made: readonly Run[], storeId: string): StoredCopy[] {
  return made.flatMap(({ detail: { backupId, sealed, copies = [] } }) => {
    const own = copies.find(
      (copy) => copy.storeId === storeId && 'state' in copy && copy.state === 'stored' && copy.removedAt === undefined,
    );
    const madeAt = own && 'state' in own ? own.madeAt : undefined;
    return own && sealed && backupId !== undefined ? [{ dumpKey: sealed.objectName, backupId, sealed, madeAt }] : [];
  });
}
