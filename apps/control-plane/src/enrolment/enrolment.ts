import { newId, safeName } from '@strideiq/core';
import { isEnrolmentProof, type EnrolAnswer, type EnrolRequest } from '@strideiq/protocol';
import { and, eq } from 'drizzle-orm';
import { createPublicKey } from 'node:crypto';
import type { AgentConnections } from '../agents/agent-connections.ts';
import { credentialPrefix, enrolTokenPrefix, newSecret, secretHash } from '../agents/credentials.ts';
import { recordAudit } from '../audit/audit.ts';
import type { Catalog, CatalogTransaction } from '../catalog/open-catalog.ts';
import { agents, enrolTokens, environments } from '../catalog/schema.ts';
import { ControlPlaneError } from '../errors.ts';

/** How long a token may be used (security.md). */
const tokenLifetimeMs = 15 * 60_000;

/** How hosts become agents: a token for one environment, once, against a credential of the host's own. */
export class Enrolment {
  readonly #catalog: Catalog;
  readonly #now: () => number;
  readonly #connections: Pick<AgentConnections, 'disconnect'>;

  constructor(parts: { catalog: Catalog; now: () => number; connections: Pick<AgentConnections, 'disconnect'> }) {
    this.#catalog = parts.catalog;
    this.#now = parts.now;
    this.#connections = parts.connections;
  }

  /**
   * Makes a token, and its environment where that is new. The token is in the answer alone.
   * @param by for the audit: a key's id, or `local`
   * @returns `expiresAt` in milliseconds since 1970
   * @throws ControlPlaneError `InputInvalid` for a name that cannot be an environment's
   */
  createToken({ environment, by }: { environment: string; by: string }): { token: string; expiresAt: number } {
    if (!safeName.test(environment)) throw environmentNameInvalid(environment);
    const now = this.#now();
    const token = newSecret(enrolTokenPrefix);
    const expiresAt = now + tokenLifetimeMs;
    this.#catalog.transaction(
      (tx) => {
        const made = tx.insert(environments).values({ name: environment, createdAt: now }).onConflictDoNothing().run();
        tx.insert(enrolTokens)
          .values({ hash: secretHash(token), environment, createdAt: now, expiresAt })
          .run();
        const detail = { expiresAt: new Date(expiresAt).toISOString(), ...(made.changes > 0 ? { made: true } : {}) };
        recordAudit(tx, { actor: by, action: 'enrol-token.create', environment, subject: environment, detail }, now);
      },
      { behavior: 'immediate' },
    );
    return { token, expiresAt };
  }

  /**
   * Trades a token for a credential. The same key in the same environment is the same agent: its old credential and its
   * connection end.
   * @throws ControlPlaneError `TokenInvalid` for a token that is wrong, used or too old, all alike; `EnvironmentMismatch`
   *   and `InputInvalid`, which leave the token as it was
   */
  enrol(request: EnrolRequest): EnrolAnswer {
    const now = this.#now();
    const credential = newSecret(credentialPrefix);
    const answer = this.#catalog.transaction(
      (tx) => {
        const token = this.#takeToken(tx, request, now);
        const publicKeyPem = ownKeyOf(request);
        const { environment } = token;
        const { hostname, agentVersion: version } = request;
        const known = tx
          .select({ id: agents.id })
          .from(agents)
          .where(and(eq(agents.environment, environment), eq(agents.publicKeyPem, publicKeyPem)))
          .get();
        const agentId = known?.id ?? newId(now);
        const told = { hostname, version, credentialHash: secretHash(credential) };
        if (known) tx.update(agents).set(told).where(eq(agents.id, agentId)).run();
        else {
          const first = { id: agentId, environment, publicKeyPem, enrolledAt: now };
          tx.insert(agents)
            .values({ ...first, ...told, commandKinds: [], reachableStoreIds: [] })
            .run();
        }
        tx.update(enrolTokens).set({ usedAt: now, agentId }).where(eq(enrolTokens.hash, token.hash)).run();
        const detail = { hostname, version, again: known !== undefined };
        const entry = { actor: `agent:${agentId}`, action: 'agent.enrol', environment, subject: agentId, detail };
        recordAudit(tx, entry, now);
        return { agentId, environment, credential };
      },
      { behavior: 'immediate' },
    );
    this.#connections.disconnect(answer.agentId);
    return answer;
  }

  /**
   * Takes an agent's credential away, and ends its connection. Again, it changes nothing.
   * @param by for the audit: a key's id, or `local`
   * @throws ControlPlaneError `NotFound`
   */
  revoke(agentId: string, by: string): void {
    const now = this.#now();
    this.#catalog.transaction(
      (tx) => {
        const agent = tx.select().from(agents).where(eq(agents.id, agentId)).get();
        if (!agent) throw agentUnknown(agentId);
        if (agent.credentialHash === null) return;
        tx.update(agents).set({ credentialHash: null }).where(eq(agents.id, agentId)).run();
        const { environment, hostname } = agent;
        recordAudit(
          tx,
          { actor: by, action: 'agent.revoke', environment, subject: agentId, detail: { hostname } },
          now,
        );
      },
      { behavior: 'immediate' },
    );
    this.#connections.disconnect(agentId);
  }

  /** The token, if this request may use it up. */
  #takeToken(tx: CatalogTransaction, { token, environment }: EnrolRequest, now: number) {
    const row = tx
      .select()
      .from(enrolTokens)
      .where(eq(enrolTokens.hash, secretHash(token)))
      .get();
    if (!row || row.usedAt !== null || row.expiresAt <= now) throw tokenInvalid();
    if (row.environment !== environment) throw environmentMismatch(row.environment, environment);
    return row;
  }
}

/** The key in one spelling, since the same key must be known again. */
function ownKeyOf({ publicKeyPem, proof, token }: EnrolRequest): string {
  if (!isEnrolmentProof(proof, token, publicKeyPem)) {
    throw new ControlPlaneError(
      'InputInvalid',
      'The proof is none of that key over that token.',
      'Send an Ed25519 key (SPKI, PEM) and the signature that its private half makes; `strideiq-agent enroll` does.',
    );
  }
  return createPublicKey(publicKeyPem).export({ type: 'spki', format: 'pem' }).toString();
}

function environmentNameInvalid(name: string): ControlPlaneError {
  return new ControlPlaneError(
    'InputInvalid',
    `${JSON.stringify(name.slice(0, 200))} cannot be the name of an environment.`,
    'Use at most 100 letters, digits, dots, dashes and underscores, beginning with a letter or digit.',
  );
}

function tokenInvalid(): ControlPlaneError {
  return new ControlPlaneError(
    'TokenInvalid',
    'The enrolment token is wrong, used already, or older than 15 minutes.',
    'Make another one: `strideiq enroll-token --environment NAME`.',
  );
}

function environmentMismatch(ofToken: string, ofHost: string): ControlPlaneError {
  return new ControlPlaneError(
    'EnvironmentMismatch',
    `The token is for the environment ${ofToken}, and this host's file says ${ofHost}.`,
    'Correct `environment` in agent.yaml, or make a token for the other one. This one was not used up.',
  );
}

function agentUnknown(agentId: string): ControlPlaneError {
  return new ControlPlaneError('NotFound', `There is no agent ${agentId}.`, '`strideiq agents` lists them.');
}
