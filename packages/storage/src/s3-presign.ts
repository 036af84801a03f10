import { GetObjectCommand } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import type { S3Bucket } from './s3-bucket.ts';

/** Signs a GetObject without sending it (S3 API Reference, "Authenticating Requests: Using Query Parameters"). */
export async function presignObject(bucket: S3Bucket, key: string, expiresInSeconds: number): Promise<string> {
  return await bucket.ask({ action: 's3:GetObject', key }, async () => {
    return await getSignedUrl(bucket.reading, new GetObjectCommand(bucket.at(key)), { expiresIn: expiresInSeconds });
  });
}
