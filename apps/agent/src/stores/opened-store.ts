import type { Store } from '@strideiq/storage';

/** A store as the host's file names it. */
export interface OpenedStore {
  /** Local name: `local`, `s3`. */
  name: string;
  kind: 'directory' | 's3';
  store: Store;
}
