import type { AgentConfiguration } from '../configuration/index.ts';
import { AgentError } from '../errors.ts';
import { loadCredential, type Credential } from './credential.ts';

/**
 * What this host needs to speak with its control plane.
 * @returns the address without a slash at its end
 * @throws AgentError `NotEnrolled`, `EnvironmentMismatch`, `StateUnusable`
 */
export function requireEnrolment(
  { controlPlane, environment, stateDir, file = 'agent.yaml' }: AgentConfiguration,
  secrets: Set<string>,
): { url: string; credential: Credential } {
  const credential = loadCredential(stateDir, secrets);
  if (controlPlane === undefined) {
    throw new AgentError(
      'NotEnrolled',
      `${file} names no control plane.`,
      credential
        ? `This host has enrolled with one: add controlPlane: { url: ${credential.url} } to it.`
        : 'Add controlPlane: { url: … } to it, and enrol: `strideiq-agent enroll --url URL --token TOKEN`.',
    );
  }
  if (credential === undefined) {
    throw new AgentError(
      'NotEnrolled',
      `This host has not enrolled with ${controlPlane.url}, or not with the state directory ${stateDir}.`,
      `Make a token there (\`strideiq enroll-token --environment ${environment}\`), and say here: strideiq-agent enroll --url ${controlPlane.url} --token TOKEN`,
    );
  }
  if (credential.environment !== environment) {
    throw new AgentError(
      'EnvironmentMismatch',
      `This host has enrolled in ${credential.environment}, and ${file} says environment: ${environment}.`,
      'Correct the file, or enrol again with a token of the right environment.',
    );
  }
  return { url: controlPlane.url.replace(/\/+$/, ''), credential };
}
