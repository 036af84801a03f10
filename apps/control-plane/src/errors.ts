import { CodedError } from '@strideiq/core';

/** What the control plane can answer with, and the HTTP status that goes with it (RFC 9110, section 15). */
export const statusOfCode = {
  // who asks
  KeyMissing: 401,
  KeyInvalid: 401,
  RoleTooLow: 403,
  EnvironmentNotAllowed: 403,
  // what is asked
  InputInvalid: 400,
  NotFound: 404,
  AlreadyExists: 409,
  PolicyChanged: 409,
  RetentionChanged: 409,
  ConfirmationMissing: 400,
  IdempotencyKeyReused: 422,
  RateLimited: 429,
  TooLarge: 413,
  // work on a host
  ActionNotAllowed: 409,
  CommandUnsupported: 409,
  TooManyCommands: 429,
  RunNotActive: 409,
  BackupNotRestorable: 409,
  CopyUnreachable: 409,
  TargetAmbiguous: 400,
  // alerts
  AlertOver: 409,
  ChannelFailed: 502,
  // agents
  TokenInvalid: 401,
  EnvironmentMismatch: 409,
  CredentialInvalid: 401,
  ProtocolUnsupported: 409,
  HelloMissing: 409,
  DatabaseOwnedElsewhere: 409,
  StoreOwnedElsewhere: 409,
  NotOwner: 403,
  ReportInvalid: 400,
  CommandUnknown: 404,
  PresignFailed: 502,
  // the program itself
  ConfigurationInvalid: 500,
  DataUnusable: 500,
  CatalogInUse: 500,
  CatalogInvalid: 500,
  ListenFailed: 500,
  UsageInvalid: 400,
  Unexpected: 500,
} as const satisfies Record<string, number>;

export type ControlPlaneErrorCode = keyof typeof statusOfCode;

/** An error of the control plane. */
export class ControlPlaneError extends CodedError<ControlPlaneErrorCode> {
  get status(): number {
    return statusOfCode[this.code];
  }
}

const usage = new Set([
  'UsageInvalid',
  'ConfigurationMissing',
  'ConfigurationUnreadable',
  'ConfigurationInvalid',
  'SecretUnavailable',
  'InputInvalid',
]);

/** 1 failed, 2 usage or configuration, 3 nothing to do or not found (contract.md). */
export function exitCodeOf(error: unknown): 1 | 2 | 3 {
  if (!(error instanceof CodedError)) return 1;
  if (usage.has(error.code)) return 2;
  return error.code === 'NotFound' ? 3 : 1;
}
