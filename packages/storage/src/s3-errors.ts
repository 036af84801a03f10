import { StorageError, type StorageErrorCode } from './errors.ts';

/** What was asked of S3: the right it needs, and what it was asked about. */
export interface S3Call {
  /** IAM action, `s3:PutObject`. */
  action: string;
  bucket: string;
  /** The store's own prefix, for naming the grant. */
  prefix: string;
  /** Whole key with the prefix; left out for calls about the bucket. */
  key?: string;
}

/** What S3 or the network said, as far as it said anything. */
interface Said {
  /** S3's error code, or the system's. */
  code: string;
  status: number | undefined;
  message: string;
  region: string | undefined;
}

/** Turns whatever the SDK threw into an error that says what to do; what is a StorageError already stays as it is. */
export function s3Error(cause: unknown, call: S3Call): StorageError {
  if (cause instanceof StorageError) return cause;
  const said = readError(cause);
  const { code, why, cure } = judge(said, call);
  const target = call.key === undefined ? `the bucket ${call.bucket}` : `s3://${call.bucket}/${call.key}`;
  return new StorageError(code, `${call.action} on ${target} failed: ${why}.`, cure, { cause });
}

/** S3's own code of an error (`NoSuchUpload`), for the few places where it decides what comes next. */
export function s3CodeOf(error: unknown): string {
  return readError(error instanceof StorageError ? error.cause : error).code;
}

/** HTTP status of an error that had an answer. HEAD requests are refused with nothing but a status. */
export function statusOf(error: unknown): number | undefined {
  return readError(error instanceof StorageError ? error.cause : error).status;
}

/**
 * Whether a request was refused because this machine's clock is off, and would be let pass now. A refused HEAD has no
 * body to say so: the SDK's own note, that it just learnt the difference, has to do.
 */
export function isClockRefusal(error: unknown): boolean {
  const said = readError(error);
  const { $metadata } = error as { $metadata?: { clockSkewCorrected?: boolean } };
  return said.code === 'RequestTimeTooSkewed' || (said.status === 403 && $metadata?.clockSkewCorrected === true);
}

function readError(error: unknown): Said {
  if (!(error instanceof Error)) return { code: '', status: undefined, message: String(error), region: undefined };
  const all = error as Error & {
    Code?: string;
    code?: string;
    $metadata?: { httpStatusCode?: number };
    $response?: { statusCode?: number; headers?: Record<string, string> };
  };
  const [first] = error instanceof AggregateError ? (error.errors as (Error & { code?: string })[]) : [];
  return {
    code: all.Code ?? all.code ?? first?.code ?? error.name,
    status: all.$metadata?.httpStatusCode ?? all.$response?.statusCode,
    message: error.message || first?.message || '',
    region: all.$response?.headers?.['x-amz-bucket-region'],
  };
}

interface Judgement {
  code: StorageErrorCode;
  why: string;
  cure: string;
}

const keyCodes = ['InvalidAccessKeyId', 'SignatureDoesNotMatch', 'InvalidToken', 'InvalidSecurity', 'NotSignedUp'];
const expiredCodes = ['ExpiredToken', 'ExpiredTokenException', 'TokenRefreshRequired', 'RequestExpired'];
const busyCodes = [
  'SlowDown',
  'ServiceUnavailable',
  'InternalError',
  'Throttling',
  'ThrottlingException',
  'RequestLimitExceeded',
  'TooManyRequests',
  'OperationAborted',
  'ConditionalRequestConflict',
];
const damagedCodes = [
  'BadDigest',
  'XAmzContentSHA256Mismatch',
  'IncompleteBody',
  'RequestTimeout',
  'XAmzContentChecksumMismatch',
];
const fullCodes = ['QuotaExceeded', 'XMinioStorageFull', 'InsufficientCapacity', 'ServiceQuotaExceededException'];
const regionCodes = [
  'PermanentRedirect',
  'AuthorizationHeaderMalformed',
  'IllegalLocationConstraintException',
  'TemporaryRedirect',
];
const networkCodes = [
  'ECONNRESET',
  'ECONNREFUSED',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'ENOTFOUND',
  'EAI_AGAIN',
  'TimeoutError',
  'ERR_STREAM_PREMATURE_CLOSE',
];
const certificateCodes = /^(CERT_|ERR_TLS_|ERR_SSL_|UNABLE_TO_|DEPTH_ZERO_SELF_SIGNED|SELF_SIGNED|EPROTO)/;

function judge(said: Said, call: S3Call): Judgement {
  return judgeKeys(said) ?? judgeObject(said, call) ?? judgePlace(said, call) ?? judgeRest(said, call);
}

function judgeKeys({ code, message }: Said): Judgement | undefined {
  if (keyCodes.includes(code)) {
    const why = `the access key or its secret is not right (${code})`;
    return {
      code: 'CredentialsInvalid',
      why,
      cure: 'Put the right pair where the configuration names it; see that it belongs to this server and was not rotated.',
    };
  }
  if (expiredCodes.includes(code)) {
    const why = `the credentials have expired (${code})`;
    return {
      code: 'CredentialsInvalid',
      why,
      cure: 'Renew them; a session token ends with its session, a role of the machine renews itself.',
    };
  }
  if (code === 'RequestTimeTooSkewed') {
    const why = 'this machine’s clock is too far from the server’s';
    return {
      code: 'CredentialsInvalid',
      why,
      cure: 'Set the clock (`timedatectl set-ntp true`); signatures hold for 15 minutes only.',
    };
  }
  if (code === 'CredentialsProviderError') {
    const why = `no credentials were found (${message})`;
    return {
      code: 'CredentialsInvalid',
      why,
      cure: 'Name them in the configuration, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role.',
    };
  }
  return undefined;
}

function judgeObject({ code, status, message }: Said, call: S3Call): Judgement | undefined {
  if (code === 'NoSuchKey' || code === 'NotFound') {
    return { code: 'ObjectMissing', why: 'it is not there', cure: 'List the store to see what it holds.' };
  }
  if (code === 'NoSuchUpload') {
    const why = 'its upload is gone: someone else ended it';
    const cure = 'See that no lifecycle rule ends uploads within a day, and that no other agent clears this prefix.';
    return { code: 'StorageUnusable', why, cure };
  }
  if (code === 'PreconditionFailed' || status === 412) {
    const why = 'it is there already, and backups are never overwritten';
    return {
      code: 'ObjectExists',
      why,
      cure: 'Choose another name; delete the one that is there only if you are sure that nobody needs it.',
    };
  }
  if (code === 'InvalidRange' || status === 416) {
    const cure = 'The object is not the one that its index describes: verify the backup before you restore from it.';
    return { code: 'RangeInvalid', why: 'the range begins past its end', cure };
  }
  if (call.action === 's3:DeleteObject' && /object.?lock|worm|retention|legal hold/i.test(message + code)) {
    const cure = 'Wait until its retention ends; only someone with s3:BypassGovernanceRetention can end it earlier.';
    return { code: 'ObjectLocked', why: 'Object Lock keeps it', cure };
  }
  return undefined;
}

function judgePlace({ code, status, message, region }: Said, call: S3Call): Judgement | undefined {
  if (code === 'NoSuchBucket') {
    const why = 'there is no such bucket';
    return {
      code: 'BucketMissing',
      why,
      cure: 'Create it, or correct bucket, endpoint and region in the configuration.',
    };
  }
  if (regionCodes.includes(code) || status === 301) {
    const why = `the bucket is in another region${region === undefined ? '' : `, ${region}`} (${message})`;
    return {
      code: 'StorageUnusable',
      why,
      cure: `Set region${region === undefined ? '' : `: ${region}`} in the configuration.`,
    };
  }
  if (/region is missing/i.test(message)) {
    const cure = 'Set region in the configuration, or AWS_REGION in the environment.';
    return { code: 'StorageUnusable', why: 'no region is set', cure };
  }
  if (fullCodes.includes(code) || status === 507) {
    const why = `the store takes no more: its quota or its disks are full (${code})`;
    return {
      code: 'StorageFull',
      why,
      cure: 'Raise the quota or add disks, or shorten the retention of this store; then run the backup again.',
    };
  }
  if (code === 'AccessDenied' || code === 'AllAccessDisabled' || status === 403 || status === 401) {
    const why = `the credentials do not allow it (${code === '' || code === 'Unknown' ? String(status) : code})`;
    return {
      code: 'AccessDenied',
      why,
      cure: `Grant ${grantOf(call)}, and see that no bucket policy, KMS key policy or boundary denies it.`,
    };
  }
  return undefined;
}

function judgeRest({ code, status, message }: Said, call: S3Call): Judgement {
  if (busyCodes.includes(code) || status === 429 || (status !== undefined && status >= 500 && status !== 501)) {
    const why = `the server is overloaded or not well (${code}, HTTP ${status})`;
    return {
      code: 'StorageBusy',
      why,
      cure: 'This passes as a rule; if it stays so, see the server’s own health and its request limits.',
    };
  }
  if (damagedCodes.includes(code)) {
    const why = `the bytes did not arrive as they were sent (${code})`;
    return {
      code: 'StorageUnreachable',
      why,
      cure: 'The connection damages or drops data: see proxies and network hardware on the way.',
    };
  }
  if (certificateCodes.test(code)) {
    const why = `TLS was not to be agreed on (${code}: ${message})`;
    return {
      code: 'StorageUnusable',
      why,
      cure: 'Name the CA of a private server in NODE_EXTRA_CA_CERTS, and see that the endpoint’s name is the certificate’s.',
    };
  }
  if (networkCodes.includes(code) || code.startsWith('HPE_') || (status !== undefined && status < 300)) {
    const why = `the server did not answer, or not to the end (${code}: ${message})`;
    return {
      code: 'StorageUnreachable',
      why,
      cure: 'See that the endpoint is right and reachable from this machine (`curl -v ENDPOINT`), firewall and proxies included.',
    };
  }
  const why = `the server refused (${code}, HTTP ${status}: ${message})`;
  return {
    code: 'StorageUnusable',
    why,
    cure: `See whether ${call.bucket} and the server know what was asked for (encryption, storage class, multipart uploads).`,
  };
}

function grantOf({ action, bucket, prefix }: S3Call): string {
  const [ofBucket, ofObjects] = [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/${prefix}*`];
  if (['s3:ListBucket', 's3:ListBucketMultipartUploads'].includes(action)) return `${action} on ${ofBucket}`;
  if (action !== 's3:GetObject') return `${action} on ${ofObjects}`;
  // Without the second S3 does not tell that a key is missing (S3 API Reference, "HeadObject", "Permissions").
  return `${action} on ${ofObjects} and s3:ListBucket on ${ofBucket} (needed to be told that an object is not there)`;
}
