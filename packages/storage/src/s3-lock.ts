import { PutObjectRetentionCommand } from '@aws-sdk/client-s3';
import type { S3Bucket } from './s3-bucket.ts';
import { headAsMayBe } from './s3-commit.ts';

/**
 * Makes sure that an object holds the Object Lock it was made with: Ceph 16 takes the headers at the beginning of a
 * multipart upload, and forgets them. Does nothing where no lock was asked for.
 * @throws StorageError: the object stands there, whole, but nobody promised to keep it
 */
export async function ensureLocked(bucket: S3Bucket, key: string, replace: boolean): Promise<void> {
  const { ObjectLockMode: Mode, ObjectLockRetainUntilDate: RetainUntilDate } = bucket.making(replace);
  if (Mode === undefined || RetainUntilDate === undefined) return;
  const found = await bucket.retry(undefined, async () => headAsMayBe(bucket, key));
  if (found?.ObjectLockMode !== undefined) return;
  await bucket.askUntilAnswered({ action: 's3:PutObjectRetention', key }, async () => {
    const request = { ...bucket.at(key), Retention: { Mode, RetainUntilDate } };
    return bucket.client.send(new PutObjectRetentionCommand(request));
  });
}
