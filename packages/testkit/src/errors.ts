/**
 * - `NotInstalled`: this machine lacks a program; the message says how to get it.
 * - `ServerDidNotStart`: a server was started and ended, or never answered.
 * - `CommandFailed`: a program ended with another code than 0.
 */
export type TestkitErrorCode = 'NotInstalled' | 'ServerDidNotStart' | 'CommandFailed';

/** What testkit itself can fail with; the message says what happened, to what, and what to do next. */
export class TestkitError extends Error {
  readonly code: TestkitErrorCode;

  constructor(code: TestkitErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = code;
    this.code = code;
  }
}
