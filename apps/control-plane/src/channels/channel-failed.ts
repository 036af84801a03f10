import { ControlPlaneError } from '../errors.ts';

/** What a channel answered, where that was not that it has taken the message. */
export class ChannelFailed extends ControlPlaneError {
  /** Whether it may take the same message later. */
  readonly isWorthAnother: boolean;
  /** How long it wants to be left alone; undefined where it did not say. */
  readonly retryAfterMs: number | undefined;

  constructor(
    what: string,
    {
      isWorthAnother = true,
      retryAfterMs,
      cause,
    }: { isWorthAnother?: boolean; retryAfterMs?: number; cause?: unknown } = {},
  ) {
    const cure = isWorthAnother
      ? 'It may go well later: messages are tried again for a day, a test is not.'
      : 'It is not tried again, as the same would come of it: look at the channel in the configuration.';
    super('ChannelFailed', what, cure, { cause });
    this.isWorthAnother = isWorthAnother;
    this.retryAfterMs = retryAfterMs;
  }
}
