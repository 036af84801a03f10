import type { Manifest } from '@strideiq/core';
import type { Connection } from '../postgres/connect.ts';
import { AgentError } from '../errors.ts';
import { checkWhole } from './check-whole.ts';
import { onMaintenance } from './maintenance-session.ts';
import type { RestoreDependencies, RestoreRequest } from './restore-request.ts';
import { selectFrom, type Selection } from './selection.ts';
import { checkSpace, freeBytesOf, type Space } from './server-disk.ts';
import type { TargetServer } from './target.ts';
import { checkTrust, judgeTrust, type Trust } from './trust.ts';

/** What is known of a restore before anything is made. */
export interface Checked<Server extends TargetServer> {
  trust: Trust;
  /** Its SQL is not trusted, and the restoring role's rights are not for it: a role made for it runs it. */
  byOwnRole: boolean;
  server: Server;
  selection: Selection | undefined;
  space: Space;
}

/**
 * Behind `dump.exec` a command is told no user, and chooses its own, which is a superuser there as a rule: triggers of the dump
 * would run with that one's rights.
 * @throws AgentError `SourceUntrusted`
 */
function checkHooks({ hooks, maintenance }: RestoreRequest): void {
  if (!hooks || hooks.afterRestore.length === 0 || maintenance.exec.length === 0) return;
  throw new AgentError(
    'SourceUntrusted',
    'The source is not trusted, and hooks.afterRestore, behind dump.exec, would work on what it holds by a user of its own choice.',
    'Say it by hooks.afterRestoreSql, which is run by a role without superuser rights, or take the hook out for this restore.',
  );
}

/**
 * Everything that can be known before anything is made.
 * @param checkServer looks at the server, and throws where the restore cannot go there
 */
export async function checkFirst<Server extends TargetServer>(
  request: RestoreRequest,
  deps: RestoreDependencies,
  runId: string,
  checkServer: (maintenance: Connection, manifest: Manifest | undefined) => Promise<Server>,
): Promise<Checked<Server>> {
  const { source, trustSource, maintenance } = request;
  const trust = judgeTrust(source, deps.key, deps.journal, request.trust);
  const selection = request.wanted && trust.manifest && selectFrom(trust.manifest, request.wanted);
  const { byOwnRole, server, space } = await onMaintenance(maintenance, runId, async (connection) => {
    // What is not trusted and not to run all the same has no say, not even in what would be missing for it.
    const heeded = trust.trusted || trustSource ? trust.manifest : undefined;
    const found = await checkServer(connection, heeded);
    const isOwn = checkTrust(trust, found, trustSource, source.dumpKey);
    if (isOwn) checkHooks(request);
    const neededBytes = selection ? undefined : trust.manifest?.source.databaseBytes;
    const freeBytes = await freeBytesOf(connection, maintenance, found.tablespace);
    checkSpace({ neededBytes, freeBytes }, trust.manifest?.object.rawBytes ?? 0);
    return { byOwnRole: isOwn, server: found, space: { neededBytes, freeBytes } };
  });
  if (!trust.manifest) {
    const { key, journal, progress, signal } = deps;
    await checkWhole(source, { key, journal, progress, signal });
  }
  deps.signal.throwIfAborted();
  return { trust, byOwnRole, server, selection, space };
}
