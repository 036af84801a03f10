import { CodedError, paragraphOf } from '@strideiq/core';
import { openAgentClient } from '@strideiq/protocol';
import type { Host } from '../compose.ts';
import { isDaemonRunning } from '../daemon/daemon-lock.ts';
import { loadCredential } from '../enrolment/credential.ts';
import { requireEnrolment } from '../enrolment/require-enrolment.ts';
import type { LinkState } from '../journal/schema.ts';
import { ask, unreachable } from '../link/api.ts';
import { helloOf } from '../link/hello.ts';
import { ServerClock } from '../link/server-clock.ts';
import type { Finding } from './examine.ts';

/** A clock further off than this makes names and schedules misleading. */
const mostClockOffsetMs = 60_000;

/** Looks whether this host can tell what happens on it, and hears what is asked of it; nothing where it goes alone. */
export async function examineControlPlane(host: Host): Promise<Finding[]> {
  const findings: Finding[] = [];
  const say = (level: Finding['level'], what: string, text: string, cure = '') =>
    void findings.push({ level, subject: what === '' ? 'control plane' : `control plane: ${what}`, text, cure });
  const { configuration, surroundings } = host;
  const { file, stateDir, controlPlane } = configuration;
  // Without a file nothing says that this host should have one.
  const alone = controlPlane === undefined && (file === undefined || !loadCredential(stateDir, surroundings.secrets));
  if (alone) return findings;
  let clockOffsetMs: number | undefined;
  try {
    const { url, credential } = requireEnrolment(configuration, surroundings.secrets);
    if (isDaemonRunning(stateDir)) {
      const state = host.journal.outbox.link;
      if (!state?.connected) throw lost(state);
      ({ clockOffsetMs } = state);
      say('ok', '', `connected to ${url} since ${new Date(state.at).toISOString()}, as agent ${credential.agentId}`);
    } else {
      clockOffsetMs = await reach(host, url, credential.credential);
      say('ok', '', `${url} answers, and takes the credential of this host`);
      say(
        'warn',
        'daemon',
        'it does not run: nothing is told, and nothing that is asked from outside is done',
        'Start it, and let it start with the machine: `strideiq-agent run`.',
      );
    }
  } catch (error) {
    if (error instanceof CodedError) say('fail', '', error.message, error.cure);
    else say('fail', '', paragraphOf(error));
  }
  if (clockOffsetMs !== undefined) {
    const off = Math.abs(clockOffsetMs) > mostClockOffsetMs;
    const text = off ? `its clock is ${Math.round(clockOffsetMs / 1000)} s off this host's` : 'agrees with this host’s';
    say(off ? 'warn' : 'ok', 'clock', text, off ? 'Let both follow NTP: `timedatectl set-ntp true`.' : '');
  }
  tellReports(host, say);
  return findings;
}

function tellReports(
  host: Host,
  say: (level: Finding['level'], what: string, text: string, cure?: string) => void,
): void {
  const { waiting, rejected } = host.journal.outbox.outstanding();
  say('ok', 'reports', waiting === 0 ? 'all are delivered' : `${waiting} wait to be delivered`);
  const [newest] = rejected;
  if (!newest) return;
  const count = rejected.length === 1 ? 'one was' : `${rejected.length} were`;
  say(
    'warn',
    'reports',
    `${count} not taken, the newest (${newest.kind}) for ${newest.code ?? 'no reason given'}: ${newest.reason ?? ''}`,
    'What they tell is not known there. See that this host’s databases and stores are its own there: `strideiq databases`.',
  );
}

/** @returns the control plane's clock less this host's */
async function reach(host: Host, url: string, credential: string): Promise<number | undefined> {
  const { policies, journal, surroundings } = host;
  const { now, signal } = surroundings;
  const over = new AbortController();
  const onClose = (why: string, refusal?: CodedError) => over.abort(refusal ?? unreachable(why));
  const client = openAgentClient({ url, credential, onClose });
  try {
    const sentAt = now();
    const hello = helloOf(policies, journal.outbox.position(), sentAt);
    const either = AbortSignal.any([signal, over.signal]);
    const answer = await ask('hello', (options) => client.api.hello.mutate(hello, options), either);
    const clock = new ServerClock(now);
    clock.learn(answer.serverTime, sentAt);
    return clock.offsetMs;
  } finally {
    client.close();
  }
}

function lost(state: LinkState | undefined): Error {
  if (!state) return new Error('the daemon runs, and has not reached it yet');
  return new Error(`not connected since ${new Date(state.at).toISOString()}: ${state.text ?? 'no reason given'}`);
}
