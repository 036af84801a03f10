/**
 * Errors that people and programs can act on.
 *
 * Every error of the product says what happened, to what, and what to do next, and carries a code that stays the same
 * while the words may change. Each package lists its codes in one file of its own, `errors.ts`, built on this class.
 */
export class CodedError<Code extends string = string> extends Error {
  /** Stable name of what went wrong, for programs: `StorageFull`, `DumpFailed` … */
  readonly code: Code;
  /** What to do next, as a sentence to a person. Empty only where nothing can be done but look at the cause. */
  readonly cure: string;

  /**
   * @param what one sentence: what happened, and to what
   * @param cure one or two sentences: what to do next
   */
  constructor(code: Code, what: string, cure = '', options?: ErrorOptions) {
    super(what, options);
    this.name = code;
    this.code = code;
    this.cure = cure;
  }

  /** The whole paragraph that a person reads. */
  get paragraph(): string {
    return this.cure === '' ? this.message : `${this.message} ${this.cure}`;
  }
}

/** What can be wrong with the rules' own inputs. */
export type CoreErrorCode =
  | 'IllegalTransition'
  | 'ObjectNameInvalid'
  | 'ReferenceInvalid'
  | 'ManifestInvalid'
  | 'SignatureInvalid';

/** An error of this package. */
export class CoreError extends CodedError<CoreErrorCode> {}

/** The code of any error: ours, a system call's (`ENOSPC`), PostgreSQL's (`42501`), or `Unexpected`. */
export function codeOf(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return 'Unexpected';
}

/** One paragraph for any error, with its chain of causes where they say more. */
export function paragraphOf(error: unknown): string {
  if (error instanceof CodedError) return error.paragraph;
  if (error instanceof AggregateError && error.message === '') return error.errors.map(paragraphOf).join('; ');
  if (!(error instanceof Error)) return String(error);
  if (error.cause === undefined || error.cause === error) return error.message;
  const cause = paragraphOf(error.cause);
  if (error.message.includes(cause)) return error.message;
  return cause.includes(error.message) ? cause : `${error.message}: ${cause}`;
}
