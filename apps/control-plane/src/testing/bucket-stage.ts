import { backupNames, newId } from '@strideiq/core';
import type { ReportedBackup } from '@strideiq/protocol';
import { openDirectoryStore, StorageError, type Store } from '@strideiq/storage';
import { and, eq } from 'drizzle-orm';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { copies } from '../catalog/schema.ts';
import { BucketKeeper } from '../stores/bucket-keeper.ts';
import { startGateway, type TestGateway } from './gateway.ts';
import { bucketStore, TestHost, type TestLink } from './host.ts';
import { madeBackup, runBody } from './reports.ts';

export const dayMs = 86_400_000;

/** What is done to the bucket's store while a test looks on. */
export interface BucketHooks {
  /** Whether Object Lock keeps it. */
  isLocked: (key: string) => boolean;
  /** Called before an object is deleted. */
  beforeDelete: (key: string) => void;
}

interface Parts {
  bucket: string;
  store: Store;
  hooks: BucketHooks;
  gateway: TestGateway;
  host: TestHost;
  link: TestLink;
}

/**
 * A host whose database goes into a directory of its own and into a bucket, and the keeper that looks after the bucket. A
 * directory stands in its place: what is asked of a store is the same. `real-bucket.test.ts` has a real one.
 */
export class BucketStage {
  /** Where its objects lie. */
  readonly bucket: string;
  readonly store: Store;
  readonly hooks: BucketHooks;
  readonly gateway: TestGateway;
  readonly host: TestHost;
  readonly link: TestLink;
  readonly keeper: BucketKeeper;

  private constructor({ bucket, store, hooks, gateway, host, link }: Parts) {
    this.bucket = bucket;
    this.store = store;
    this.hooks = hooks;
    this.gateway = gateway;
    this.host = host;
    this.link = link;
    this.keeper = new BucketKeeper(gateway);
    this.own(host.databaseId());
  }

  static async start(): Promise<BucketStage> {
    const bucket = mkdtempSync(join(tmpdir(), 'strideiq-bucket-'));
    const store = openDirectoryStore({ path: bucket, host: 'db1' });
    const hooks: BucketHooks = { isLocked: () => false, beforeDelete: () => undefined };
    const watched = watchedStore(store, hooks);
    // Objects have the dates of this machine, and what is young is not judged.
    const startAt = Date.now() + 3_600_000;
    const gateway = await startGateway({ openOwnStore: async () => Promise.resolve(watched), startAt });
    const host = new TestHost(gateway, 'production', 'db1').looksAfter('app').enrol();
    host.databases[0]?.stores.push(bucketStore('app/'));
    return new BucketStage({ bucket, store, hooks, gateway, host, link: await host.connect() });
  }

  async stop(): Promise<void> {
    await this.keeper.stop();
    await this.gateway.stop();
    this.store.close();
    rmSync(this.bucket, { recursive: true });
  }

  path(name: string): string {
    return join(this.bucket, name);
  }

  /** Has the bucket say whose it is. */
  own(databaseId: string): void {
    const storeId = this.host.storeId(1);
    const owner = { formatVersion: 1, storeId, environment: 'production', database: 'app', databaseId };
    writeFileSync(this.path('strideiq-owner.json'), JSON.stringify(owner));
  }

  /** One backup a night, for so many nights, each reported when it was made. */
  async nights(count: number): Promise<ReportedBackup[]> {
    const { gateway, host, link } = this;
    const made: ReportedBackup[] = [];
    for (let night = 0; night < count; night++) {
      gateway.clock.now += dayMs;
      const at = new Date(gateway.now());
      const names = backupNames('app', at);
      const copy = (storeAt: number) => ({ storeId: host.storeId(storeAt), key: names.dump, state: 'stored' as const });
      const backup = madeBackup(host, {
        snapshotAt: at.toISOString(),
        objectName: names.dump,
        manifestSha256: createHash('sha256').update(manifestOf(names.stem)).digest('hex'),
        copies: [copy(0), copy(1)].map((each) => ({ ...each, sizeBytes: 4 })),
      });
      await link.send(host.report('run', runBody(host, newId(at.getTime()), 'succeeded', { backup })));
      for (const name of [names.dump, names.privileges]) writeFileSync(this.path(name), 'dump');
      writeFileSync(this.path(names.manifest), manifestOf(names.stem));
      made.push(backup);
    }
    return made;
  }

  /** Copies in the bucket; in the directory, which is the host's first store, by `at` 0. */
  inState(state: (typeof copies.$inferSelect)['state'], at = 1): (typeof copies.$inferSelect)[] {
    return this.gateway.catalog
      .select()
      .from(copies)
      .where(and(eq(copies.storeId, this.host.storeId(at)), eq(copies.state, state)))
      .all();
  }
}

const manifestOf = (stem: string) => `the manifest of ${stem}`;

function watchedStore(store: Store, hooks: BucketHooks): Store {
  return new Proxy(store, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key);
      if (key !== 'delete') return typeof value === 'function' ? value.bind(target) : value;
      return async (name: string) => {
        hooks.beforeDelete(name);
        if (hooks.isLocked(name)) throw new StorageError('ObjectLocked', `${name} is kept by Object Lock.`, 'Wait.');
        return target.delete(name);
      };
    },
  });
}
