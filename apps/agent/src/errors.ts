import { CodedError } from '@strideiq/core';

/** What can go wrong on a database host. The CLI's exit code follows from the code: see `exitCodeOf`. */
export type AgentErrorCode =
  // reaching PostgreSQL
  | 'ServerUnreachable'
  | 'LoginRefused'
  | 'DatabaseClosed'
  | 'DatabaseMissing'
  | 'ConnectionLost'
  // the tools
  | 'PgDumpMissing'
  | 'PgDumpTooOld'
  | 'DumpFailed'
  | 'DumpHangs'
  | 'SchemaMoves'
  | 'SnapshotTooOld'
  // preflight
  | 'PrivilegeMissing'
  | 'LockNotAvailable'
  | 'BackupAlreadyRunning'
  | 'DiskTooSmall'
  | 'PrefixTaken'
  | 'StoreStalled'
  | 'StoreNotMounted'
  | 'StoreFailed'
  | 'NoCopyStored'
  // finding and judging backups
  | 'BackupNotFound'
  | 'VerificationFailed'
  | 'TableNotFound'
  // restoring
  | 'TargetExists'
  | 'TableChanged'
  | 'RowsNeeded'
  | 'RowsClash'
  | 'OutcomeUnknown'
  | 'TargetInvalid'
  | 'SourceUntrusted'
  | 'ExtensionMissing'
  | 'RoleMissing'
  | 'RestoreFailed'
  | 'RowCountsDiffer'
  | 'InventoryDiffers'
  // restoring in place
  | 'SwapImpossible'
  | 'RestoreAlreadyRunning'
  | 'PrivilegesMoved'
  | 'SwapFailed'
  | 'HookFailed'
  | 'HealthCheckFailed'
  | 'NothingToUndo'
  // drills
  | 'RowsDiffer'
  | 'AssertionFailed'
  // the control plane
  | 'NotEnrolled'
  | 'ControlPlaneUnreachable'
  | 'ControlPlaneInvalid'
  | 'PlainTextRefused'
  | 'TokenInvalid'
  | 'EnvironmentMismatch'
  | 'CredentialInvalid'
  | 'ProtocolUnsupported'
  // what it asks for
  | 'CommandUnsupported'
  | 'CommandInvalid'
  | 'CommandExpired'
  | 'ActionNotAllowed'
  | 'DatabaseUnknown'
  | 'StoreUnknown'
  | 'RunUnknown'
  | 'RunExists'
  | 'RunTooLong'
  | 'RunElsewhere'
  | 'CopyUnreachable'
  // the program itself
  | 'DaemonRunning'
  | 'UsageInvalid'
  | 'StateUnusable'
  | 'AgentDied'
  | 'Interrupted';

/** An error of the agent. */
export class AgentError extends CodedError<AgentErrorCode> {}

const usage = new Set([
  'UsageInvalid',
  'ReferenceInvalid',
  'TargetInvalid',
  'ConfigurationMissing',
  'ConfigurationUnreadable',
  'ConfigurationInvalid',
  'SecretUnavailable',
  'NotEnrolled',
  'PlainTextRefused',
  'EnvironmentMismatch',
]);
const notFound = new Set(['BackupNotFound', 'TableNotFound', 'NothingToUndo']);

/** 1 failed, 2 usage or configuration, 3 nothing to do or not found, 130 interrupted (contract.md). */
export function exitCodeOf(error: unknown): 1 | 2 | 3 | 130 {
  if (!(error instanceof CodedError)) return 1;
  if (error.code === 'Interrupted') return 130;
  if (usage.has(error.code)) return 2;
  return notFound.has(error.code) ? 3 : 1;
}
