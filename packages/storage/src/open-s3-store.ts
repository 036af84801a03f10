import type { RetryPolicy } from './retry.ts';
import type { Store } from './store.ts';

export interface S3StoreOptions {
  bucket: string;
  /** Put before every key, as a folder: a missing slash at its end is added. Empty for the whole bucket. */
  prefix?: string;
  /** Left out: `us-east-1` where an endpoint is given, else what AWS_REGION or the profile says. */
  region?: string;
  /** `https://…` of a server other than Amazon's. */
  endpoint?: string;
  /** Bucket in the path instead of the host name. Default: where an endpoint is given. */
  forcePathStyle?: boolean;
  /** Left out: what the environment, the profile or the machine's role gives. */
  credentials?: { accessKeyId: string; secretAccessKey: string; sessionToken?: string };
  sse?: 'AES256' | 'aws:kms' | 'aws:kms:dsse';
  sseKmsKeyId?: string;
  /** `STANDARD_IA`, `GLACIER_IR` … */
  storageClass?: string;
  /**
   * Object Lock on each object that is not meant to be replaced: for so many days from its making nobody deletes or
   * overwrites this version of it. The bucket must have Object Lock enabled.
   */
  objectLock?: { mode: 'GOVERNANCE' | 'COMPLIANCE'; days: number };
  /** Profile of the AWS configuration files, where credentials come from there. */
  profile?: string;
  /** Bytes of the first parts of an upload, 5 MiB at least; more where a large object is foreseen. Default 8 MiB. */
  partBytes?: number;
  /** Parts of that size on their way at a time; one more is being filled. Larger ones share its memory. Default 3. */
  partsInFlight?: number;
  /** How long a connection may be silent before its request is given up. Default 60 s. */
  requestTimeoutMs?: number;
  /** For the requests that a put is made of. Default: {@link usualRetries}. */
  retry?: RetryPolicy;
  /** Largest object that one CopyObject takes; larger ones are copied in parts. Default: S3's own 5 GiB. */
  largestCopyBytes?: number;
}

/**
 * Opens a store in an S3 bucket; asks the server nothing yet. Loads the AWS SDK, which a program that only uses
 * directories should not have in its memory: hence a door of its own.
 */
export async function openS3Store(options: S3StoreOptions): Promise<Store> {
  const { S3Store } = await import('./s3-store.ts');
  return new S3Store(options);
}
