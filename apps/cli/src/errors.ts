import { CodedError, codeOf } from '@strideiq/core';

/** What can go wrong on this side of the wire. What the control plane answers has codes of its own: see `ProblemError`. */
export type CliErrorCode =
  // reaching the control plane
  | 'Unreachable'
  | 'CertificateUntrusted'
  | 'AddressWrong'
  | 'PlainTextRefused'
  // who asks
  | 'NotLoggedIn'
  | 'ContextUnknown'
  | 'CredentialsUnusable'
  | 'KeyUnusable'
  // what is asked
  | 'UsageInvalid'
  | 'NameAmbiguous'
  | 'NotFound'
  // what came of it
  | 'OutcomeUnknown'
  | 'FileUnusable'
  | 'Interrupted';

/** An error of this program. */
export class CliError extends CodedError<CliErrorCode> {}

/** A refusal by the control plane, in its own words and with its own code. */
export class ProblemError extends CodedError {
  /** HTTP status. */
  readonly status: number;

  constructor(code: string, status: number, text: string, cure = '') {
    super(code, text, cure);
    this.status = status;
  }
}

const usage = new Set([
  'AddressWrong',
  'PlainTextRefused',
  'NotLoggedIn',
  'ContextUnknown',
  'CredentialsUnusable',
  'KeyUnusable',
  'UsageInvalid',
  'ReferenceInvalid',
  'NameAmbiguous',
  // as the control plane says it
  'KeyMissing',
  'KeyInvalid',
  'InputInvalid',
  'TargetAmbiguous',
]);

/** 1 failed, 2 usage or configuration, 3 nothing found, 130 interrupted (contract.md). */
export function exitCodeOf(error: unknown): 1 | 2 | 3 | 130 {
  const code = codeOf(error);
  if (code === 'Interrupted') return 130;
  if (code === 'NotFound') return 3;
  return usage.has(code) ? 2 : 1;
}
