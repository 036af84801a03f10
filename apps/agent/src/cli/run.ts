import { composeDaemon } from '../compose.ts';
import { takeDaemonLock } from '../daemon/daemon-lock.ts';
import { eventLines } from '../daemon/events.ts';
import { isEnrolled } from '../enrolment/credential.ts';
import { requireEnrolment } from '../enrolment/require-enrolment.ts';
import type { Command } from './run-command.ts';

/** `run`: the daemon. Ends with exit code 0 when it is told to stop. */
export async function run(
  { host, surroundings }: Command,
  options: { json?: boolean; quiet?: boolean },
): Promise<number> {
  const { configuration } = host;
  const events = eventLines({
    json: options.json ?? false,
    quiet: options.quiet ?? false,
    secrets: surroundings.secrets,
    now: surroundings.now,
    write: (line) => void process.stderr.write(line),
  });
  const entries = [...Object.values(configuration.databases), ...Object.values(configuration.servers)];
  const schedules = entries.some(({ schedule }) => schedule.length > 0);
  // A host that follows its own schedule needs nobody else; one that does not would do nothing at all.
  const isAlone = configuration.controlPlane === undefined && schedules && !isEnrolled(configuration.stateDir);
  const enrolment = isAlone ? undefined : requireEnrolment(configuration, surroundings.secrets);
  const lock = takeDaemonLock(configuration.stateDir);
  try {
    for (const warning of configuration.warnings) events.warn(warning);
    const { url, credential } = enrolment ?? {};
    if (credential && credential.url !== url) {
      events.warn(`this host enrolled with ${credential.url}, and agent.yaml names ${url}, which is where it connects`);
    }
    if (isAlone)
      events.info('agent.yaml names no control plane: this host follows its own schedule, and reports to nobody');
    await composeDaemon(host, { url, events }).run(surroundings.signal);
  } finally {
    lock.release();
  }
  return 0;
}
