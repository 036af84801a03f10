import { paragraphOf } from '@strideiq/core';
import { sourceOf } from '../backups/resolve-reference.ts';
import { AgentError } from '../errors.ts';
import { describeServer } from '../postgres/endpoint.ts';
import { onMaintenance } from '../restore/maintenance-session.ts';
import { runRestore, type FreshRequest } from '../restore/run-restore.ts';
import type { OpenedStore } from '../stores/opened-store.ts';
import { inTime } from '../stores/in-time.ts';
import { storeNamesOf } from './store-names.ts';
import type { Work } from './work.ts';

const findLimitMs = 60_000;

/**
 * `restoreUpload`: a dump that somebody has put into a store of this database into a new database. Nobody vouches for its
 * SQL, so it is run by a role that is no superuser and owns nothing that matters, or not at all. Whatever becomes of it, the
 * upload is removed.
 */
export async function doRestoreUpload(work: Work<'restoreUpload'>): Promise<void> {
  const { command, database, host, progress, signal } = work;
  const { body } = command;
  const { journal, key, surroundings, configuration } = host;
  const stores = await host.storesOf(database, storeNamesOf(configuration, database, [body.storeId]));
  const [opened] = stores;
  if (!opened) throw new Error('a name without a store');
  let request: FreshRequest;
  try {
    request = await requestOf(work, opened);
  } catch (error) {
    // Where that is not allowed a later upload sweeps it.
    await removed(opened, body.key);
    throw error;
  }
  await runRestore(request, { journal, key, now: surroundings.now, progress, signal });
}

async function requestOf(work: Work<'restoreUpload'>, opened: OpenedStore): Promise<FreshRequest> {
  const { command, database, host, signal } = work;
  const { runId, commandId, databaseId, body } = command;
  await checkNotOwner(work);
  const found = await inTime(sourceOf(opened, body.key), opened, findLimitMs, signal);
  return {
    environment: host.configuration.environment,
    database: database.name,
    databaseId,
    // What stands beside it is no manifest of anybody's.
    source: { ...found, found: undefined },
    reference: body.key,
    maintenance: await host.maintenanceOf(database),
    trustSource: false,
    hooks: database.hooks,
    wanted: body.tables === undefined ? undefined : { tables: body.tables, postData: true },
    asked: { runId, commandId },
    into: body.into,
    release: async () => removed(opened, body.key),
  };
}

/** @returns what there is to tell: agents need no right to delete in a bucket for anything else */
async function removed({ store }: OpenedStore, key: string): Promise<string[]> {
  try {
    await store.delete(key);
    return [];
  } catch (error) {
    return [
      `The upload stays in the bucket as ${store.location}${key} until somebody removes it: ${paragraphOf(error)}`,
    ];
  }
}

/**
 * Whoever owns a database can rename it, close it and change its settings, also out of a DO block in a foreign dump.
 * @throws AgentError `SourceUntrusted`
 */
async function checkNotOwner({ command, database, host }: Work<'restoreUpload'>): Promise<void> {
  const maintenance = await host.maintenanceOf(database);
  const all = await Promise.all(Object.values(host.configuration.databases).map(async (each) => host.endpointOf(each)));
  const names = all.filter((each) => describeServer(each) === describeServer(maintenance)).map((each) => each.database);
  const owned = await onMaintenance(maintenance, command.runId, async (connection) => {
    const { rows } = await connection.query<{ name: string; user: string }>(
      `SELECT datname::text AS name, current_user::text AS user FROM pg_database
        WHERE datname = ANY ($1::text[]) AND pg_has_role(datdba, 'MEMBER') ORDER BY 1`,
      [names],
    );
    return rows;
  });
  const [first] = owned;
  if (!first) return;
  throw new AgentError(
    'SourceUntrusted',
    `Nobody vouches for an upload, and the role ${first.user}, which would run its SQL, owns ${owned.map(({ name }) => name).join(', ')}.`,
    'Give the agent.yaml another database of that server, with a role that owns none of these, and upload beside that one; or copy the file to the host, and restore it there.',
  );
}
