import { CodedError } from '@strideiq/core';

/**
 * What a store can say.
 * - `StorageBusy`, `StorageUnreachable`: passing; worth another try.
 * - `StorageFull`, `AccessDenied`, `BucketMissing`, `CredentialsInvalid`, `StorageUnusable`: a person has to act.
 * - `ObjectMissing`, `ObjectExists`, `ObjectLocked`, `RangeInvalid`, `KeyInvalid`: about that one object.
 * - `ContentLost`: the store holds something else than it was given, or than it was a moment ago; the text names it.
 */
export type StorageErrorCode =
  | 'StorageBusy'
  | 'StorageUnreachable'
  | 'StorageFull'
  | 'AccessDenied'
  | 'BucketMissing'
  | 'CredentialsInvalid'
  | 'StorageUnusable'
  | 'ObjectMissing'
  | 'ObjectExists'
  | 'ObjectLocked'
  | 'RangeInvalid'
  | 'KeyInvalid'
  | 'ContentLost';

/** An error of this package. */
export class StorageError extends CodedError<StorageErrorCode> {
  /** Whether the same call may succeed if tried again. */
  get transient(): boolean {
    return this.code === 'StorageBusy' || this.code === 'StorageUnreachable';
  }
}
