export { tellingEnd } from './closing.ts';
export * from './directory-store.ts';
export * from './errors.ts';
export * from './open-s3-store.ts';
export { s3LocationOf } from './s3-location.ts';
export { usualRetries, type RetryPolicy } from './retry.ts';
export * from './store.ts';
export * from './with-limits.ts';
export * from './with-retry.ts';
