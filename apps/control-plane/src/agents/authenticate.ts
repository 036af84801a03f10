import { eq } from 'drizzle-orm';
import type { Catalog } from '../catalog/open-catalog.ts';
import { agents } from '../catalog/schema.ts';
import { ControlPlaneError } from '../errors.ts';
import type { AgentIdentity } from './connection.ts';
import { secretHash } from './credentials.ts';

/**
 * Who has the credential of this `Authorization` header.
 * @throws ControlPlaneError `CredentialInvalid`
 */
export function authenticate(catalog: Catalog, authorization: string | undefined): AgentIdentity {
  const credential = /^Bearer ([\w-]{20,200})$/i.exec(authorization ?? '')?.[1];
  if (credential === undefined) throw credentialInvalid();
  const credentialHash = secretHash(credential);
  const agent = catalog
    .select({ agentId: agents.id, environment: agents.environment })
    .from(agents)
    .where(eq(agents.credentialHash, credentialHash))
    .get();
  if (!agent) throw credentialInvalid();
  return { ...agent, credentialHash };
}

/**
 * Sees to it that a credential still holds: it may have been revoked by another process, which cannot end the connection.
 * @throws ControlPlaneError `CredentialInvalid`
 */
export function checkCredential(catalog: Catalog, { agentId, credentialHash }: AgentIdentity): void {
  const agent = catalog.select({ hash: agents.credentialHash }).from(agents).where(eq(agents.id, agentId)).get();
  if (agent?.hash !== credentialHash) throw credentialInvalid();
}

function credentialInvalid(): ControlPlaneError {
  return new ControlPlaneError(
    'CredentialInvalid',
    'The agent has no credential that is good here: it was never enrolled, enrolled anew elsewhere, or revoked.',
    'Enrol it with a new token: `strideiq-agent enroll --url URL --token TOKEN`.',
  );
}
