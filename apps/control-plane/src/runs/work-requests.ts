import type { AgentConnections } from '../agents/agent-connections.ts';
import type { Catalog } from '../catalog/open-catalog.ts';
import { requestBackup } from '../backups/request-backup.ts';
import type { OpenOwnStore } from '../copies/own-stores.ts';
import type { PresignRequests } from '../copies/presign-requests.ts';
import { requestDrill } from '../drills/request-drill.ts';
import { requestRestore } from '../restores/request-restore.ts';
import { requestVerify } from '../verifies/request-verify.ts';
import { requestUploadRestore } from '../uploads/request-upload-restore.ts';
import { uploadUrl, type UploadUrl } from '../uploads/upload-url.ts';
import { cancelRun } from './cancel-run.ts';
import type { LiveRuns } from './live-runs.ts';
import type {
  BackupRequest,
  DrillTarget,
  Requested,
  Requester,
  RestoreTarget,
  RestoreWhat,
  UploadRestore,
  VerifyRequest,
} from './requests.ts';

export interface WorkRequestsParts {
  catalog: Catalog;
  now: () => number;
  connections: AgentConnections;
  liveRuns: LiveRuns;
  openOwnStore: OpenOwnStore;
  presigns: PresignRequests;
}

/**
 * What people and programs may ask hosts for. Who calls has seen to it that the caller may ask for it in the environments
 * that it is about. Run, command, audit and the answer to a repeated request are one transaction; the agent is told after
 * it, at once where it is connected.
 *
 * All throw ControlPlaneError `NotFound`, `IdempotencyKeyReused`, and where the host would not or could not do it
 * `ActionNotAllowed`, `CommandUnsupported`, `TooManyCommands`.
 */
export class WorkRequests {
  readonly #parts: WorkRequestsParts;

  constructor(parts: WorkRequestsParts) {
    this.#parts = parts;
  }

  /** @throws ControlPlaneError also `InputInvalid` for stores that are not the database's */
  async requestBackup(request: BackupRequest, requester: Requester): Promise<Requested> {
    return requestBackup(this.#parts, request, requester);
  }

  /** @throws ControlPlaneError also `BackupNotRestorable` where there is no copy to read, `InputInvalid` */
  async requestVerify(request: VerifyRequest, requester: Requester): Promise<Requested> {
    return requestVerify(this.#parts, request, requester);
  }

  /** @throws ControlPlaneError also `InputInvalid`, `BackupNotRestorable`, `CopyUnreachable`, `TargetAmbiguous` */
  async requestRestore(what: RestoreWhat, target: RestoreTarget, requester: Requester): Promise<Requested> {
    return await requestRestore(this.#parts, what, target, requester);
  }

  /** @throws ControlPlaneError also `InputInvalid`, `BackupNotRestorable`, `CopyUnreachable`, `TargetAmbiguous` */
  async requestDrill(what: RestoreWhat, target: DrillTarget, requester: Requester): Promise<Requested> {
    return await requestDrill(this.#parts, what, target, requester);
  }

  /**
   * A place for a dump in a bucket of a database, by the rights of its host.
   * @throws ControlPlaneError also `PresignFailed`
   */
  async uploadUrl(what: { databaseId: string; sizeBytes: number }, requester: Requester): Promise<UploadUrl> {
    return await uploadUrl(this.#parts, what, requester);
  }

  /** @throws ControlPlaneError also `InputInvalid` */
  async requestUploadRestore(what: UploadRestore, requester: Requester): Promise<Requested> {
    return await requestUploadRestore(this.#parts, what, requester);
  }

  /**
   * Asks the host to end a run; one that it cannot have heard of ends at once. While that is under way already, it asks
   * for nothing more.
   * @throws ControlPlaneError also `RunNotActive`
   */
  async cancelRun(runId: string, requester: Requester): Promise<Requested> {
    return cancelRun(this.#parts, runId, requester);
  }
}
