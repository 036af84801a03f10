const minuteMs = 60_000;

/** Alerts of one trouble come together: the first word waits for the others. */
const gatherMs = minuteMs / 2;
/** How long after each message of a group the next one may follow; the last one again and again. */
const pauses = [5, 10, 20, 40, 60].map((minutes) => minutes * minuteMs);
/** Silence of so long ends a trouble: what comes then is told at once again. */
const overMs = 2 * 60 * minuteMs;

/** Messages of one group so far, which are about all alerts of one rule in one environment. */
export interface MessagePace {
  /** Since the trouble began. */
  messages: number;
  lastAt: number;
}

/**
 * When a group's next message may be sent: soon for the first, and at growing intervals while the trouble goes on, so that a
 * bad night is a handful of messages, whatever happens in it.
 * @param untoldSince since when there is something that was not told
 */
export function nextMessageAt(pace: MessagePace | undefined, untoldSince: number): number {
  const soon = untoldSince + gatherMs;
  if (!pace || untoldSince >= pace.lastAt + overMs) return soon;
  const pause = pauses[Math.min(pace.messages, pauses.length) - 1] ?? 0;
  return Math.max(soon, pace.lastAt + pause);
}

/** How it stands once a message was made. */
export function afterMessage(pace: MessagePace | undefined, now: number): MessagePace {
  const goesOn = pace !== undefined && now < pace.lastAt + overMs;
  return { messages: goesOn ? pace.messages + 1 : 1, lastAt: now };
}
