import { composeDaemon } from '../compose.ts';
import { takeDaemonLock } from '../daemon/daemon-lock.ts';
import { eventLines } from '../daemon/events.ts';
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
  const { url, credential } = requireEnrolment(configuration, surroundings.secrets);
  const lock = takeDaemonLock(configuration.stateDir);
  try {
    for (const warning of configuration.warnings) events.warn(warning);
    if (credential.url !== url) {
      events.warn(`this host enrolled with ${credential.url}, and agent.yaml names ${url}, which is where it connects`);
    }
    for (const { name, schedule } of Object.values(configuration.databases)) {
      if (schedule.length > 0)
        events.warn(`${name}: this version does not follow the schedule; back up by cron until it does`);
    }
    await composeDaemon(host, { url, events }).run(surroundings.signal);
  } finally {
    lock.release();
  }
  return 0;
}
