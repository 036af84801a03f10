import type { Store } from '@strideiq/storage';
import type { stores } from '../catalog/schema.ts';

export type StoreRow = typeof stores.$inferSelect;

/**
 * Opens a store by the control plane's own credentials, where its configuration has some for exactly that endpoint, bucket
 * and prefix; undefined otherwise. Whoever provides it keeps what it opened, and closes it at the end.
 */
export type OpenOwnStore = (store: StoreRow) => Promise<Store | undefined>;
