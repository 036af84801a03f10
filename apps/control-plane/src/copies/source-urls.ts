import type { Presigned, SourceUrls as Urls } from '@strideiq/protocol';
import type { AgentConnections } from '../agents/agent-connections.ts';
import type { Catalog } from '../catalog/open-catalog.ts';
import type { OpenOwnStore } from './own-stores.ts';

export interface SourceUrlsParts {
  catalog: Catalog;
  now: () => number;
  connections: AgentConnections;
  openOwnStore: OpenOwnStore;
}

/** URLs by which a restore reads a copy that its host has no store for. They are secrets: never stored, never logged. */
export class SourceUrls {
  readonly #parts: SourceUrlsParts;

  constructor(parts: SourceUrlsParts) {
    this.#parts = parts;
  }

  /** @throws ControlPlaneError `CommandUnknown`, `RunNotActive`, `CopyUnreachable`, `PresignFailed` */
  async urlsFor(agentId: string, commandId: string): Promise<Urls> {
    throw new Error(`${this.#parts.now()} ${agentId} ${commandId}`);
  }

  /** Takes an agent's answer to `presign`; one that nobody waits for is ignored. */
  answer(agentId: string, presigned: Presigned): void {
    throw new Error(`${agentId} ${presigned.commandId}`);
  }
}
