import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { OwnStoreConfiguration } from '../configuration/index.ts';
import type { StoreRow } from '../copies/own-stores.ts';
import { configurationFor, OwnStores } from './own-stores.ts';

function row(prefix: string, more: Partial<NonNullable<StoreRow['s3']>> = {}): StoreRow {
  return {
    id: `store of ${prefix}`,
    databaseId: '',
    name: 's3',
    type: 's3',
    location: '',
    s3: { bucket: 'backups', prefix, ...more },
    firstSeenAt: 0,
    declared: true,
    lookedAt: null,
    retentionWaits: null,
  };
}

describe('which credentials are for a store', () => {
  const configured: OwnStoreConfiguration[] = [
    { bucket: 'backups', prefix: '', region: 'all of it' },
    { bucket: 'backups', prefix: 'eu/', region: 'eu' },
    { bucket: 'backups', prefix: 'eu/production', region: 'eu production' },
    { bucket: 'backups', prefix: '', endpoint: 'https://s3.example.com/', region: 'elsewhere' },
    { bucket: 'narrow', prefix: 'only/here/', region: 'narrow' },
  ];
  const regionFor = (store: StoreRow) => configurationFor(configured, store)?.region;

  test.each([
    ['us/', {}, 'all of it'],
    ['', {}, 'all of it'],
    ['eu/', {}, 'eu'],
    ['eu/staging/', {}, 'eu'],
    ['eu/production/', {}, 'eu production'],
    ['eu/production/running_app/', {}, 'eu production'],
    // Folder by folder.
    ['eu/production-old/', {}, 'eu'],
    ['europe/', {}, 'all of it'],
    ['eu/', { endpoint: 'https://s3.example.com' }, 'elsewhere'],
    ['eu/', { endpoint: 'HTTPS://S3.EXAMPLE.COM:443/' }, 'elsewhere'],
    ['eu/', { endpoint: 'https://s3.amazonaws.com' }, 'eu'],
    ['eu/', { endpoint: 'http://s3.example.com' }, undefined],
    ['eu/', { endpoint: 'https://other.example.com' }, undefined],
    ['eu/', { endpoint: 'no address' }, undefined],
    ['eu/', { bucket: 'others' }, undefined],
    ['only/here/', { bucket: 'narrow' }, 'narrow'],
    ['only/', { bucket: 'narrow' }, undefined],
    ['', { bucket: 'narrow' }, undefined],
  ])('%j %j: %s', (prefix, more, expected) => expect(regionFor(row(prefix, more))).toBe(expected));

  test('none for a directory', () => {
    expect(regionFor({ ...row(''), type: 'directory', s3: null })).toBeUndefined();
  });
});

describe('a store of its own', () => {
  let directory = '';
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'strideiq-own-stores-'));
    writeFileSync(join(directory, 'id'), 'AKIAEXAMPLE');
    writeFileSync(join(directory, 'secret'), 'first-secret');
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  const storesOf = (secrets: Set<string>) =>
    new OwnStores({
      configured: [
        {
          bucket: 'backups',
          prefix: 'eu/',
          endpoint: 'http://127.0.0.1:9',
          credentials: { accessKeyIdFile: join(directory, 'id'), secretAccessKeyFile: join(directory, 'secret') },
        },
      ],
      env: {},
      secrets,
    });
  const store = row('eu/running_app/', { endpoint: 'http://127.0.0.1:9' });

  test('signs URLs below the store’s own prefix, with what the configuration points at', async () => {
    const secrets = new Set<string>();
    const own = storesOf(secrets);
    const opened = await own.open(store);
    const url = new URL((await opened?.presign?.('a.sql.gz', { expiresInSeconds: 60 })) ?? '');
    expect(url.pathname).toBe('/backups/eu/running_app/a.sql.gz');
    expect(url.searchParams.get('X-Amz-Credential')).toMatch(/^AKIAEXAMPLE\//);
    expect(secrets).toContain('first-secret');
    expect(await own.open(store)).toBe(opened);
    own.close();
  });

  test('is opened anew once its credentials have changed', async () => {
    const own = storesOf(new Set());
    const opened = await own.open(store);
    writeFileSync(join(directory, 'id'), 'AKIASECOND');
    const again = await own.open(store);
    expect(again).not.toBe(opened);
    expect(await again?.presign?.('a', { expiresInSeconds: 60 })).toContain('AKIASECOND');
    own.close();
  });

  test('is opened anew once its host has corrected the region', async () => {
    const own = storesOf(new Set());
    const scopeIn = async (region: string) => {
      const opened = await own.open(row('eu/running_app/', { endpoint: 'http://127.0.0.1:9', region }));
      const url = new URL((await opened?.presign?.('a', { expiresInSeconds: 60 })) ?? '');
      return url.searchParams.get('X-Amz-Credential')?.split('/')[2];
    };
    expect(await scopeIn('eu-west-1')).toBe('eu-west-1');
    expect(await scopeIn('eu-central-1')).toBe('eu-central-1');
    own.close();
  });

  test('is none where nothing is configured for it, and an error where its credentials are gone', async () => {
    const own = storesOf(new Set());
    expect(await own.open(row('us/', { endpoint: 'http://127.0.0.1:9' }))).toBeUndefined();
    rmSync(join(directory, 'secret'));
    await expect(own.open(store)).rejects.toMatchObject({ code: 'SecretUnavailable' });
    own.close();
  });
});
