import { durationText } from '../duration-text.ts';
import { judgement, type Judgement } from './judgement.ts';

const dayMs = 86_400_000;
/** A clock that is off by less does no harm. */
const clockToleranceMs = 60_000;
/** Somebody has to make a key and carry it to where it is used. */
const keyNoticeMs = 14 * dayMs;
/** Those that renew by themselves do so a month before their end. */
const certificateNoticeMs = 14 * dayMs;

export interface AgentFacts {
  id: string;
  hostname: string;
  isConnected: boolean;
  /** Null: never. */
  lastSeenAt: number | null;
  /** Its clock less ours; undefined where nobody knows just now. */
  clockOffsetMs: number | undefined;
}

export function judgeAgent(
  { id, hostname, isConnected, lastSeenAt, clockOffsetMs }: AgentFacts,
  now: number,
): Judgement[] {
  const subject = `agent:${id}`;
  const seen = lastSeenAt === null ? 'has never connected' : `was seen last ${durationText(now - lastSeenAt)} ago`;
  const isOff = clockOffsetMs !== undefined && Math.abs(clockOffsetMs) > clockToleranceMs;
  const off = `The clock of ${hostname} is ${durationText(Math.abs(clockOffsetMs ?? 0))} ${(clockOffsetMs ?? 0) > 0 ? 'ahead' : 'behind'}.`;
  return [
    judgement('agentAway', subject, isConnected ? undefined : `${hostname} ${seen}.`),
    judgement('clockOff', subject, clockOffsetMs === undefined ? 'unknown' : isOff ? off : undefined),
  ];
}

export function judgeKey(
  { id, name, expiresAt }: { id: string; name: string; expiresAt: number | null },
  now: number,
): Judgement {
  const left = (expiresAt ?? Number.POSITIVE_INFINITY) - now;
  // One that is over has been told of, and is nobody's trouble any more.
  const isSoon = left > 0 && left <= keyNoticeMs;
  return judgement(
    'keyExpires',
    `key:${id}`,
    isSoon ? `The key ${name} is good for ${durationText(left)} more.` : undefined,
  );
}

export function judgeCertificate({ validTo, file }: { validTo: number; file: string }, now: number): Judgement {
  const left = validTo - now;
  const text =
    left > 0 ? `The certificate ${file} is good for ${durationText(left)} more.` : `The certificate ${file} is over.`;
  return judgement('certificateExpires', 'system:certificate', left <= certificateNoticeMs ? text : undefined);
}

/** @param failing why what a channel is to tell does not arrive; undefined where it does */
export function judgeChannel({ name, failing }: { name: string; failing: string | undefined }): Judgement {
  return judgement('channelFailed', `channel:${name}`, failing === undefined ? undefined : `${name}: ${failing}`);
}
