import { storeIdOf } from '@strideiq/core';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { openS3Store } from './open-s3-store.ts';
import { s3LocationOf } from './s3-location.ts';

const entry = new URL('index.ts', import.meta.url).href;

/** The modules that a program loads, one a line. */
async function modulesOf(program: string): Promise<string[]> {
  const hooks = `import { registerHooks } from 'node:module';
    registerHooks({ load: (url, context, next) => (console.log(url), next(url, context)) });
    const storage = await import(${JSON.stringify(entry)});
    ${program}`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', hooks]);
  return stdout.split('\n');
}

test('who uses directories only does not load the AWS SDK', async () => {
  const modules = await modulesOf(`storage.openDirectoryStore({ path: '/nowhere', host: 'test' })`);
  expect(modules.filter((url) => url.includes('directory-store'))).toHaveLength(1);
  expect(modules.filter((url) => /aws|smithy/.test(url))).toEqual([]);
});

test('opening an S3 store does load it', async () => {
  const modules = await modulesOf(`await storage.openS3Store({ bucket: 'b', endpoint: 'http://127.0.0.1:1' })`);
  expect(modules.filter((url) => url.includes('client-s3')).length).toBeGreaterThan(0);
});

test('a store is known by endpoint, bucket and prefix, however these are written', async () => {
  const idOf = async (options: Parameters<typeof openS3Store>[0]): Promise<string> => {
    const store = await openS3Store(options);
    store.close();
    // Who cannot open it can tell its id too.
    expect(storeIdOf(s3LocationOf(options))).toBe(store.storeId);
    return store.storeId;
  };
  const base = { bucket: 'b', prefix: 'backups/', endpoint: 'https://s3.example.com' };
  const id = await idOf(base);
  expect(await idOf({ ...base, prefix: '/backups' })).toBe(id);
  expect(await idOf({ ...base, endpoint: 'https://S3.example.com:443/' })).toBe(id);
  expect(await idOf({ ...base, region: 'eu-west-1', storageClass: 'STANDARD_IA' })).toBe(id);
  expect(await idOf({ ...base, prefix: 'other/' })).not.toBe(id);
  expect(await idOf({ ...base, bucket: 'c' })).not.toBe(id);
  const { endpoint: _, ...amazon } = base;
  expect(await idOf({ ...amazon, region: 'eu-west-1' })).toBe(await idOf({ ...amazon, region: 'us-east-1' }));
});
