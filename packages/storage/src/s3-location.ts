import type { StoreLocation } from '@strideiq/core';
import type { S3StoreOptions } from './open-s3-store.ts';

/**
 * The place that such options mean, in one spelling, whose `storeIdOf` is the store's. Bucket names are the same in all of
 * Amazon's regions, so the region is no part of it.
 * @throws TypeError for an endpoint that is no URL
 */
export function s3LocationOf({
  endpoint = 'https://s3.amazonaws.com',
  bucket,
  prefix = '',
}: Pick<S3StoreOptions, 'endpoint' | 'bucket' | 'prefix'>): Extract<StoreLocation, { type: 's3' }> {
  const { origin, pathname } = new URL(endpoint);
  return { type: 's3', endpoint: origin + pathname.replace(/\/+$/, ''), bucket, prefix: folderOf(prefix) };
}

function folderOf(prefix: string): string {
  const trimmed = prefix.replace(/^\/+/, '');
  return trimmed === '' || trimmed.endsWith('/') ? trimmed : `${trimmed}/`;
}
