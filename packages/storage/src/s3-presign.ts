import { GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import type { S3Bucket } from './s3-bucket.ts';
import type { PutUrl } from './store.ts';

/** Signs a GetObject without sending it (S3 API Reference, "Authenticating Requests: Using Query Parameters"). */
export async function presignObject(bucket: S3Bucket, key: string, expiresInSeconds: number): Promise<string> {
  return await bucket.ask({ action: 's3:GetObject', key }, async () => {
    return await getSignedUrl(bucket.reading, new GetObjectCommand(bucket.at(key)), { expiresIn: expiresInSeconds });
  });
}

/** The same of a PutObject. The SDK signs what is to be encrypted as headers, which have to come with the request. */
export async function presignUpload(
  bucket: S3Bucket,
  key: string,
  { expiresInSeconds, sizeBytes }: { expiresInSeconds: number; sizeBytes: number },
): Promise<PutUrl> {
  const making = bucket.making(true);
  const { ServerSideEncryption: encryption, SSEKMSKeyId: keyId } = making;
  const request = { ...bucket.at(key), ...making, ContentLength: sizeBytes };
  const url = await bucket.ask({ action: 's3:PutObject', key }, async () => {
    return await getSignedUrl(bucket.client, new PutObjectCommand(request), { expiresIn: expiresInSeconds });
  });
  const headers = {
    ...(encryption === undefined ? {} : { 'x-amz-server-side-encryption': encryption }),
    ...(keyId === undefined ? {} : { 'x-amz-server-side-encryption-aws-kms-key-id': keyId }),
  };
  return { url, headers };
}
