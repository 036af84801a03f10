import { Cron } from 'croner';

/** When something is to happen. */
export interface Schedule {
  /** A cron line of five fields, as crontab(5) has them. */
  line: string;
  /** IANA name of the time zone by whose clocks it is meant. */
  timezone: string;
}

/**
 * The moments of a schedule, in milliseconds since 1970. What summer time skips happens when it is over: `30 2 * * *` at
 * three. What comes twice happens the first time alone, where a line names its hours; every hour is every hour.
 */
export class DueMoments {
  readonly #cron: Cron;

  /** @throws Error for a line or a zone that is none */
  constructor({ line, timezone }: Schedule) {
    this.#cron = new Cron(line, { timezone, mode: '5-part', fixedTimeRule: 'no-wildcard', paused: true });
  }

  /** The first that comes after `ms`; undefined where none ever does, as on the 30th of February. */
  after(ms: number): number | undefined {
    return this.#cron.nextRun(new Date(ms))?.getTime();
  }

  /** The last that has come by `ms`. */
  until(ms: number): number | undefined {
    // Asked for are those before a whole second.
    const next = Math.floor(ms / 1000) * 1000 + 1000;
    return this.#cron.previousRuns(1, new Date(next))[0]?.getTime();
  }
}

/** What is known of a schedule that is followed. */
export interface Followed {
  /** All moments up to here were seen to. */
  seenAt: number;
  /** Moments that were seen to one by one, so that none is again when the clock is set back. */
  moments: readonly number[];
}

/** What a look at the clock has shown. */
export interface Look {
  /** As it is to be written down before anything is done. */
  followed: Followed;
  /** The moment that something is to be done for; undefined: none. Of several that were missed it is the last. */
  due: number | undefined;
}

/** How long a moment is remembered by itself, which is how far a clock can be set back without doing it again. */
const rememberedMs = 40 * 86_400_000;
/** As many at most, lest a schedule of every minute fill the place where they are written down. */
const mostRemembered = 1000;

/**
 * Looks whether something is due. Each moment is due once, whatever the clock does: what was missed while nobody looked is
 * due as one; set back, the clock comes by moments that are remembered, and by others anew, so that one that was far ahead for
 * a while does not silence a schedule.
 * @param delayOf by how much later a moment is meant, always the same of one
 */
export function lookAt(
  moments: DueMoments,
  { seenAt, moments: known }: Followed,
  now: number,
  { delayOf = () => 0, mostDelayMs = 0 }: { delayOf?: (moment: number) => number; mostDelayMs?: number } = {},
): Look {
  const since = Math.min(seenAt, now);
  const remembered = new Set(known);
  let moment = moments.until(now);
  for (; moment !== undefined && moment > since - mostDelayMs; moment = moments.until(moment - 1000)) {
    const meant = moment + delayOf(moment);
    if (meant > since && meant <= now && !remembered.has(moment)) break;
  }
  if (moment === undefined || moment <= since - mostDelayMs)
    return { followed: { seenAt: now, moments: known }, due: undefined };
  const kept = [...known.filter((each) => each > now - rememberedMs), moment].slice(-mostRemembered);
  return { followed: { seenAt: now, moments: kept }, due: moment };
}
