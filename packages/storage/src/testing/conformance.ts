import { afterAll, beforeAll, describe } from 'vitest';
import type { Store } from '../store.ts';
import { describeGet } from './get-cases.ts';
import { describeNames } from './name-cases.ts';
import { describePresign } from './presign-cases.ts';
import { describePut } from './put-cases.ts';

/** A store to be tested, empty, and what ends everything it stands on. */
export interface OpenedStore {
  store: Store;
  end?: () => Promise<void>;
  /** Where it cuts what it is given, so that the sizes around that are tried. Default 8 MiB. */
  partBytes?: number;
  /** Most bytes it may hold of a put. Default 48 MiB. */
  holdsBytes?: number;
  /** Whether it makes URLs by which others may read. Default: no. */
  presigns?: boolean;
}

/** What the cases work on; `store` is there once the tests run. */
export interface Subject {
  readonly store: Store;
  readonly partBytes: number;
  readonly holdsBytes: number;
  readonly presigns: boolean;
}

/**
 * The contract of {@link Store} as tests. Every store, and every decorated one, passes them against the real thing.
 * @param open opens an empty store of its own; called once
 */
export function describeStore(name: string, open: () => Promise<OpenedStore>): void {
  describe(`${name} keeps the contract of a store`, () => {
    let opened: OpenedStore;
    beforeAll(async () => {
      opened = await open();
    });
    afterAll(async () => {
      opened.store.close();
      await opened.end?.();
    });
    const subject: Subject = {
      get store() {
        return opened.store;
      },
      get partBytes() {
        return opened.partBytes ?? 8 * 1024 ** 2;
      },
      get holdsBytes() {
        return opened.holdsBytes ?? 48 * 1024 ** 2;
      },
      get presigns() {
        return opened.presigns ?? false;
      },
    };
    describePut(subject);
    describeGet(subject);
    describeNames(subject);
    describePresign(subject);
  });
}
