import { fixedNames, mostPrefixOwnerBytes, paragraphOf, parsePrefixOwner } from '@strideiq/core';
import { restoreKinds, type CommandOf, type RestoreKind, type SourceUrls as Urls } from '@strideiq/protocol';
import { readAll, type Store } from '@strideiq/storage';
import { and, eq } from 'drizzle-orm';
import { recordAudit } from '../audit/audit.ts';
import { backups, commands, databases, runs } from '../catalog/schema.ts';
import { commandUnknown } from '../commands/acknowledge.ts';
import { ControlPlaneError } from '../errors.ts';
import { commit, type NewsParts } from '../runs/news.ts';
import { isOpen } from '../runs/open-states.ts';
import { copiesOf, isReadable, namesOf, type BackupCopy } from './backup-copies.ts';
import type { PresignRequests } from './presign-requests.ts';
import type { OpenOwnStore } from './own-stores.ts';
import { whyNoPresign } from './presigning.ts';
import type { AgentConnections } from '../agents/agent-connections.ts';

export interface SourceUrlsParts extends NewsParts {
  now: () => number;
  connections: AgentConnections;
  openOwnStore: OpenOwnStore;
  presigns: PresignRequests;
}

/** How long URLs are good for; a restore that takes longer asks for others. */
const expiresInSeconds = 3600;
const sameAnswerMs = 60_000;

/** What a restore's command says of its source, and what the catalog knows of it. */
interface Source {
  agentId: string;
  commandId: string;
  runId: string;
  backup: typeof backups.$inferSelect;
  database: typeof databases.$inferSelect;
  /** Those of the command's key that can be read. */
  found: BackupCopy[];
}

/** URLs by which a restore reads a copy that its host has no store for. They are secrets: never stored, never logged. */
export class SourceUrls {
  readonly #parts: SourceUrlsParts;
  readonly #asked = new Map<string, { at: number; urls: Promise<Urls> }>();

  constructor(parts: SourceUrlsParts) {
    this.#parts = parts;
  }

  /**
   * For the agent that the restore was sent to, and while its run lives. Asked again within a minute, the answer is the
   * same: whoever asks without end fills neither the audit nor the commands of the source host.
   * @throws ControlPlaneError `CommandUnknown`, `RunNotActive`, `CopyUnreachable`, `PresignFailed`
   */
  async urlsFor(agentId: string, commandId: string): Promise<Urls> {
    const source = this.#sourceOf(agentId, commandId);
    const now = this.#parts.now();
    for (const [id, { at }] of this.#asked) if (now - at >= sameAnswerMs) this.#asked.delete(id);
    const before = this.#asked.get(commandId);
    if (before) return await before.urls;
    const urls = this.#make(source);
    this.#asked.set(commandId, { at: now, urls });
    urls.catch(() => this.#asked.delete(commandId));
    return await urls;
  }

  #sourceOf(agentId: string, commandId: string): Source {
    const { catalog } = this.#parts;
    const ofAgent = and(eq(commands.id, commandId), eq(commands.agentId, agentId));
    const command = catalog.select().from(commands).where(ofAgent).get();
    const restores = restoreKinds.some((kind) => kind === command?.kind);
    if (!command || !restores || command.runId === null) throw commandUnknown(commandId);
    const { runId } = command;
    const run = catalog.select().from(runs).where(eq(runs.id, runId)).get();
    if (!run || !isOpen(run.state)) {
      throw new ControlPlaneError(
        'RunNotActive',
        `The run ${runId} is ${run?.state ?? 'none'}.`,
        'End it on the host.',
      );
    }
    const { backupId, source } = command.body as CommandOf<RestoreKind>['body'];
    const backup = catalog.select().from(backups).where(eq(backups.id, backupId)).get();
    const database = backup && catalog.select().from(databases).where(eq(databases.id, backup.databaseId)).get();
    if (!database) throw copyUnreachable(backupId, ['the catalog does not know it any more']);
    const found = copiesOf(catalog, backupId).filter((each) => isReadable(each) && each.copy.key === source.key);
    return { agentId, commandId, runId, backup, database, found };
  }

  async #make(source: Source): Promise<Urls> {
    const { now } = this.#parts;
    const why: string[] = [];
    for (const found of source.found) {
      const names = namesOf(found, source.database.name);
      if (found.store.type !== 's3' || !names) continue;
      const keys = [names.dump, names.manifest, ...(source.backup.hasPrivileges ? [names.privileges] : [])];
      const expiresAt = new Date(now() + expiresInSeconds * 1000).toISOString();
      const ways = [this.#byOwnRights(source.database, found, keys), this.#byItsAgent(source.database, found, keys)];
      for (const way of ways) {
        try {
          const made = await way();
          const [dump, manifest, privileges = null] = made?.urls ?? [];
          if (!made || dump === undefined || manifest === undefined) continue;
          this.#noteDownload(source, found, made.by);
          return { dump, manifest, privileges, expiresAt };
        } catch (error) {
          why.push(`${found.store.location}: ${paragraphOf(error)}`);
        }
      }
    }
    throw copyUnreachable(source.backup.id, why);
  }

  /** Nothing where the control plane has none for that place. */
  #byOwnRights(database: Source['database'], { store }: BackupCopy, keys: string[]): Way {
    return async () => {
      const own = store.s3 === null ? undefined : await this.#parts.openOwnStore(store);
      if (!own?.presign) return undefined;
      await checkOwner(own, database);
      const presign = own.presign.bind(own);
      return {
        by: 'control-plane',
        urls: await Promise.all(keys.map(async (key) => await presign(key, { expiresInSeconds }))),
      };
    };
  }

  #byItsAgent(database: Source['database'], { store }: BackupCopy, keys: string[]): Way {
    return async () => {
      const { catalog, connections } = this.#parts;
      const whyNot = whyNoPresign(catalog, connections, database);
      if (whyNot !== undefined) {
        const cure = 'Give the control plane credentials for the bucket, or see to the source host.';
        throw new ControlPlaneError('PresignFailed', `Its own host cannot be asked: ${whyNot}.`, cure);
      }
      const body = { storeId: store.id, keys, expiresInSeconds };
      return {
        by: `agent:${database.agentId}`,
        urls: (await this.#parts.presigns.ask('presign', database.id, body)).urls,
      };
    };
  }

  /** Before the URLs are handed out: whoever has them may read. */
  #noteDownload({ agentId, commandId, runId, backup, database }: Source, { store }: BackupCopy, by: string): void {
    const detail = { runId, commandId, storeId: store.id, by };
    const entry = { actor: `agent:${agentId}`, action: 'copy.download', subject: backup.id, detail };
    commit(this.#parts, (tx) => {
      recordAudit(tx, { ...entry, environment: database.environment }, this.#parts.now());
    });
  }
}

/** One way to come by URLs. */
type Way = () => Promise<{ by: string; urls: string[] } | undefined>;

/**
 * What an agent says of a prefix is its word alone. Before rights that it may not have are used for it, the prefix itself
 * has to say that it is that database's.
 */
async function checkOwner(own: Store, { id, name, environment }: Source['database']): Promise<void> {
  const owner = parsePrefixOwner(await readAll(await own.get(fixedNames.owner), mostPrefixOwnerBytes));
  if (owner?.databaseId === id) return;
  const whose = owner ? `${owner.database} of environment ${owner.environment}` : 'somebody whose name cannot be read';
  throw new ControlPlaneError(
    'PresignFailed',
    `The control plane’s credentials are not used for ${name} of environment ${environment}: by its ${fixedNames.owner} the prefix is that of ${whose}.`,
    'Correct the prefix in the source host’s agent.yaml.',
  );
}

function copyUnreachable(backupId: string, why: readonly string[]): ControlPlaneError {
  return new ControlPlaneError(
    'CopyUnreachable',
    `There are no URLs for the backup ${backupId}: ${why.join('; ') || 'no store holds a good copy of it any more'}.`,
    'Give the control plane credentials for the bucket, or have the source agent connected with presign in its `allow`.',
  );
}
