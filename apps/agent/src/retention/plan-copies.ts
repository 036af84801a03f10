import {
  codeOf,
  paragraphOf,
  planRetention,
  type RetainedCopy,
  type RetentionPlan,
  type RetentionRules,
} from '@strideiq/core';
import { within } from '../backup/within.ts';
import { findBackups, readManifest, type FoundBackup } from '../backups/find-backups.ts';
import type { Host } from '../compose.ts';
import type { DatabaseConfiguration } from '../configuration/index.ts';
import { AgentError } from '../errors.ts';
import type { OpenedStore } from '../stores/opened-store.ts';
import { ownsPrefix } from '../stores/prefix-owner.ts';

/** What of a database's copies in one store stays, and what goes. */
export interface StorePlan {
  opened: OpenedStore;
  plan: RetentionPlan;
  /** Why nothing was planned for it, where nothing was. */
  problem?: string;
}

export interface PlanOptions {
  /** Ids of the stores to look at; left out: all. */
  only?: readonly string[] | undefined;
  /** Where the host's file has no rules for a store. */
  usualDays?: number | undefined;
}

/** Where nobody says otherwise: as the runbook had it. */
const usualDays = { directory: 7, s3: 30 };
const nothing: RetentionPlan = { keep: [], remove: [] };

/**
 * What retention would remove from the stores that this host looks after: its directories; and buckets where it has no control
 * plane, which looks after them otherwise. A store that cannot be asked, or that is not known to be this database's, has
 * nothing removed.
 */
export async function planCopies(
  host: Host,
  database: DatabaseConfiguration,
  options: PlanOptions = {},
): Promise<StorePlan[]> {
  const stores = await host.storesOf(database);
  const ours = stores.filter(
    ({ kind, store }) =>
      (kind === 'directory' || host.configuration.controlPlane === undefined) &&
      (options.only?.includes(store.storeId) ?? true),
  );
  return Promise.all(
    ours.map(async (opened) => {
      try {
        return { opened, plan: await inTime(opened, database, planStore(host, database, opened, options)) };
      } catch (error) {
        return { opened, plan: nothing, problem: paragraphOf(error) };
      }
    }),
  );
}

/** A mount that is dead never answers, and is not to hold up the next backup. */
export async function inTime<T>(
  { kind, store }: OpenedStore,
  { dump: { stallLimitMs } }: DatabaseConfiguration,
  work: Promise<T>,
): Promise<T> {
  // A bucket watches itself, request by request.
  if (kind === 's3') return work;
  const late = () =>
    new AgentError(
      'StoreStalled',
      `${store.location} has not answered for ${Math.round(stallLimitMs / 1000)} s.`,
      'Look at the mount behind it. Old backups are removed once it answers.',
    );
  return within(work, { limitMs: stallLimitMs, late });
}

async function planStore(
  host: Host,
  database: DatabaseConfiguration,
  opened: OpenedStore,
  options: PlanOptions,
): Promise<RetentionPlan> {
  const { name, timezone, retention } = database;
  const rules: RetentionRules = retention[opened.name] ?? { days: options.usualDays ?? usualDays[opened.kind] };
  const databaseId = host.databaseIdOf(database);
  const backups = (await findBackups([opened])).filter((backup) => backup.database === name);
  if (backups.length === 0) return nothing;
  if (!(await ownsPrefix(opened, databaseId))) {
    throw new AgentError(
      'PrefixTaken',
      `${opened.store.location} holds backups of a ${name}, and is not known to be this host's: no strideiq-owner.json there says so.`,
      'Nothing was removed there. The next backup into it writes that down.',
    );
  }
  const judge = new Judge(host, databaseId, opened);
  const copies = await Promise.all(backups.map(async (backup) => judge.copyOf(backup)));
  return planRetention({
    now: host.surroundings.now(),
    copies: copies.filter((copy) => copy !== undefined),
    rules,
    pins: [],
    least: opened.kind === 'directory' ? host.configuration.minimumLocalCopies : 1,
    timezone,
  });
}

/** Says what each copy of a store is worth, by its listing and by what this host knows. */
class Judge {
  readonly #opened: OpenedStore;
  readonly #found: ReturnType<Host['journal']['foundIn']>;
  readonly #sealed: ReturnType<Host['journal']['sealedOf']>;

  constructor({ journal }: Host, databaseId: string, opened: OpenedStore) {
    this.#opened = opened;
    this.#found = journal.foundIn(opened.store.storeId);
    this.#sealed = journal.sealedOf(databaseId);
  }

  /** What has no manifest is not ours: the old scripts' backups, or what somebody else has put there. */
  async copyOf({ names, at, copies: [copy] }: FoundBackup): Promise<RetainedCopy | undefined> {
    if (copy?.hasManifest !== true) return undefined;
    const known = { backupId: names.stem, at: at.getTime(), sizeBytes: copy.sizeBytes ?? 0 };
    const sealed = this.#sealed.get(names.dump);
    const found = this.#found.get(names.dump);
    const isWhole = copy.sizeBytes !== undefined && (sealed === undefined || sealed.bytes === copy.sizeBytes);
    if (!isWhole || found === 'corrupt' || found === 'missing') return { ...known, state: 'bad', safety: false };
    const state = found === 'verified' ? 'verified' : 'good';
    if (sealed) return { ...known, state, safety: sealed.safety === true };
    // From before this journal: only the manifest can tell then.
    try {
      const { manifest } = await readManifest(this.#opened, names.manifest);
      return { ...known, state, safety: manifest.safety === true };
    } catch (error) {
      if (codeOf(error) === 'ManifestInvalid') return { ...known, state: 'bad', safety: false };
      throw error;
    }
  }
}
