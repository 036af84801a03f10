import { hostname } from 'node:os';
import { enrol } from '../enrolment/enrol.ts';
import { saveCredential } from '../enrolment/credential.ts';
import { AgentError } from '../errors.ts';
import { agentVersion } from '../version.ts';
import type { Command } from './run-command.ts';

/** `enroll --url URL --token TOKEN`: trades a one-time token for this host's own credential. */
export async function enroll(
  { host, output, surroundings }: Command,
  options: { url?: string; token?: string },
): Promise<number> {
  const { configuration, key } = host;
  const { controlPlane, environment, stateDir, file } = configuration;
  const url = options.url ?? controlPlane?.url;
  const { token } = options;
  if (url === undefined || token === undefined) {
    throw new AgentError(
      'UsageInvalid',
      `Enrol ${url === undefined ? 'with which control plane' : 'by which token'}?`,
      'Say --url URL --token TOKEN; `strideiq enroll-token --environment NAME` makes a token.',
    );
  }
  surroundings.secrets.add(token);
  const allowPlainText = controlPlane?.allowPlainText ?? false;
  const { signal } = surroundings;
  const credential = await enrol({
    url,
    token,
    environment,
    hostname: hostname(),
    agentVersion,
    key,
    allowPlainText,
    signal,
  });
  surroundings.secrets.add(credential.credential);
  saveCredential(stateDir, credential);
  const where = file ?? 'agent.yaml';
  if (controlPlane === undefined) {
    output.warn(`${where} names no control plane. Add to it: controlPlane: { url: ${credential.url} }`);
  } else if (controlPlane.url.replace(/\/+$/, '') !== credential.url) {
    output.warn(
      `${where} names another control plane, ${controlPlane.url}, which is where \`strideiq-agent run\` will connect. Make the two agree.`,
    );
  }
  output.result(
    { agentId: credential.agentId, environment: credential.environment, url: credential.url },
    [
      `Enrolled in ${credential.environment} of ${credential.url}`,
      `  agent       ${credential.agentId}`,
      `  credential  kept in ${stateDir}, for this host alone`,
      '  next        strideiq-agent run',
    ].join('\n'),
  );
  return 0;
}
