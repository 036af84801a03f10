import {
  codeOf,
  parseBackupName,
  planRetention,
  usualRetention,
  type Pin,
  type RetainedCopy,
  type RetentionInput,
} from '@strideiq/core';
import { findBackups, readManifest, type FoundBackup } from '../backups/find-backups.ts';
import type { Host } from '../compose.ts';
import type { DatabaseConfiguration } from '../configuration/index.ts';
import { AgentError } from '../errors.ts';
import type { SealedBackup } from '../journal/schema.ts';
import type { OpenedStore } from '../stores/opened-store.ts';
import { ownsPrefix } from '../stores/prefix-owner.ts';

/** Retention of one database in one store. */
export class StoreRetention {
  readonly #host: Host;
  readonly #database: DatabaseConfiguration;
  readonly #opened: OpenedStore;
  readonly #days: number | undefined;

  /** @param days in place of the usual ones, where the host's file has no rules for the store */
  constructor(host: Host, database: DatabaseConfiguration, opened: OpenedStore, days?: number) {
    this.#host = host;
    this.#database = database;
    this.#opened = opened;
    this.#days = days;
  }

  /**
   * The copies that the store holds. What has no manifest is not ours: the old scripts' backups, or what somebody else has put
   * there.
   * @throws AgentError `PrefixTaken` where the store is not known to be this database's; any StorageError
   */
  async copies(): Promise<RetainedCopy[]> {
    const { name } = this.#database;
    const databaseId = this.#host.databaseIdOf(this.#database);
    const backups = (await findBackups([this.#opened])).filter((backup) => backup.database === name);
    if (backups.length === 0) return [];
    if (!(await ownsPrefix(this.#opened, databaseId))) {
      throw new AgentError(
        'PrefixTaken',
        `${this.#opened.store.location} holds backups of a ${name}, and is not known to be this host's: no strideiq-owner.json there says so.`,
        'Nothing was removed there. The next backup into it writes that down.',
      );
    }
    const judge = new Judge(this.#host, databaseId, this.#opened);
    const copies = await Promise.all(backups.map(async (backup) => judge.copyOf(backup)));
    return copies.filter((copy) => copy !== undefined);
  }

  /** What there is to plan by. @param pins copies that are kept whatever the rules say */
  inputOf(copies: readonly RetainedCopy[], pins: readonly Pin[] = []): RetentionInput {
    const { retention, timezone } = this.#database;
    const { name, kind } = this.#opened;
    const usual = this.#days === undefined ? usualRetention[kind] : { days: this.#days };
    const rules = retention[name] ?? usual;
    const { configuration, surroundings } = this.#host;
    const least = kind === 'directory' ? configuration.minimumLocalCopies : 1;
    const wanted = this.#host.policies.of(this.#host.databaseIdOf(this.#database)).pins;
    return { now: surroundings.now(), copies, rules, pins: [...wanted, ...pins], least, timezone };
  }

  /**
   * Of backups whose copies are gone from the store, or not whole there, those that would stay, were good ones there.
   * @returns names of their dumps
   * @throws as `copies`
   */
  async wouldKeep(backups: readonly SealedBackup[]): Promise<Set<string>> {
    if (backups.length === 0) return new Set();
    const asGood = new Map(backups.flatMap((sealed) => goodCopyOf(sealed)));
    const stems = new Set([...asGood.values()].map(({ backupId }) => backupId));
    const others = (await this.copies()).filter(({ backupId }) => !stems.has(backupId));
    const { keep } = planRetention(this.inputOf([...others, ...asGood.values()]));
    const kept = new Set(keep.map(({ backupId }) => backupId));
    return new Set([...asGood].flatMap(([dumpKey, { backupId }]) => (kept.has(backupId) ? [dumpKey] : [])));
  }
}

/** A copy as it should stand in a store, by the name of its dump; none under a name that is not ours. */
function goodCopyOf({ objectName, bytes: sizeBytes, safety = false }: SealedBackup): [string, RetainedCopy][] {
  const parsed = parseBackupName(objectName);
  if (!parsed) return [];
  return [[objectName, { backupId: parsed.names.stem, at: parsed.at.getTime(), state: 'good', safety, sizeBytes }]];
}

/** Says what each copy of a store is worth, by its listing and by what this host knows. */
class Judge {
  readonly #opened: OpenedStore;
  readonly #databaseId: string;
  readonly #found: ReturnType<Host['journal']['copies']['foundIn']>;
  readonly #sealed: ReturnType<Host['journal']['sealedOf']>;

  constructor({ journal }: Host, databaseId: string, opened: OpenedStore) {
    this.#opened = opened;
    this.#databaseId = databaseId;
    this.#found = journal.copies.foundIn(opened.store.storeId);
    this.#sealed = journal.sealedOf(databaseId);
  }

  async copyOf({ names, at, copies: [copy] }: FoundBackup): Promise<RetainedCopy | undefined> {
    if (copy?.hasManifest !== true) return undefined;
    const known = { backupId: names.stem, at: at.getTime(), sizeBytes: copy.sizeBytes ?? 0 };
    const sealed = this.#sealed.get(names.dump);
    const found = this.#found.get(names.dump);
    const isWhole = copy.sizeBytes !== undefined && (sealed === undefined || sealed.bytes === copy.sizeBytes);
    // One that was missing when it was looked for, and is there: a mount had been away.
    if (!isWhole || found === 'corrupt') return { ...known, state: 'bad', safety: sealed?.safety === true };
    const state = found === 'verified' ? 'verified' : 'good';
    if (sealed) return { ...known, state, safety: sealed.safety === true };
    // From before this journal: only the manifest can tell then.
    try {
      const { manifest } = await readManifest(this.#opened, names.manifest);
      const { object, databaseId } = manifest;
      const isOwn = object.name === names.dump && object.bytes === copy.sizeBytes && databaseId === this.#databaseId;
      return { ...known, state: isOwn ? state : 'bad', safety: manifest.safety === true };
    } catch (error) {
      if (codeOf(error) === 'ManifestInvalid') return { ...known, state: 'bad', safety: false };
      throw error;
    }
  }
}
