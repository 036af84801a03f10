import { execFile, spawn, type ExecFileOptions } from 'node:child_process';
import { once } from 'node:events';
import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openDirectoryStore } from './directory-store.ts';
import { describeStore } from './testing/conformance.ts';
import { all, chunksOf, collect, contentOf } from './testing/content.ts';
import { withLimits } from './with-limits.ts';
import { withRetry } from './with-retry.ts';

const run = promisify(execFile);
const putProcess = fileURLToPath(new URL('testing/put-process.ts', import.meta.url));

describeStore('a directory store', async () => {
  const path = await mkdtemp(join(tmpdir(), 'storage-test-'));
  const end = async (): Promise<void> => {
    await rm(path, { recursive: true, force: true });
  };
  return { store: openDirectoryStore({ path: join(path, 'not', 'yet'), host: 'test' }), end };
});

describeStore('a directory store with retry and limits', async () => {
  const path = await mkdtemp(join(tmpdir(), 'storage-test-'));
  const end = async (): Promise<void> => {
    await rm(path, { recursive: true, force: true });
  };
  const limits = { transfers: 2, uploadBytesPerSecond: 10 ** 9 };
  return { store: withRetry(withLimits(openDirectoryStore({ path, host: 'test' }), limits)), end };
});

describe('a directory store', () => {
  let path: string;
  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), 'storage-test-'));
  });
  afterEach(async () => {
    await rm(path, { recursive: true, force: true });
  });

  test('is the same store under any spelling of its path, and another one on another host', () => {
    const at = (where: string, host = 'a'): string => openDirectoryStore({ path: where, host }).storeId;
    expect(at('/backups')).toBe(at('/backups/../backups/'));
    expect(at('/backups')).not.toBe(at('/backups', 'b'));
    expect(at('/backups')).not.toBe(at('/backup'));
  });

  test.each([0o000, 0o022, 0o777])('makes files 0600 and folders 0700 under umask %i', async (mask) => {
    const script = `umask ${mask.toString(8)} && exec "$0" "$@"`;
    const args = ['-c', script, process.execPath, putProcess, join(path, 'new'), 'a/b/c.bin', '10'];
    expect(JSON.parse((await run('sh', args)).stdout)).toEqual({ sizeBytes: 10 });
    const modes = ['new', 'new/a', 'new/a/b', 'new/a/b/c.bin'].map(async (name) => (await stat(join(path, name))).mode);
    expect((await Promise.all(modes)).map((mode) => mode & 0o777)).toEqual([0o700, 0o700, 0o700, 0o600]);
  });

  test('copies by a second name of the same bytes', async () => {
    const store = openDirectoryStore({ path, host: 'test' });
    await store.put('one', chunksOf(contentOf(100)));
    await store.copy('one', 'two');
    expect((await stat(join(path, 'one'))).ino).toBe((await stat(join(path, 'two'))).ino);
  });

  describe('a link below its folder', () => {
    test.each(['outside', '../outside'])('to %s leads nowhere', async (target) => {
      const folder = join(path, 'store');
      await mkdir(folder);
      await mkdir(join(path, 'outside'));
      await writeFile(join(path, 'outside', 'secret'), 'secret');
      await symlink(target === 'outside' ? join(path, target) : target, join(folder, 'link'));
      const store = openDirectoryStore({ path: folder, host: 'test' });
      const refused = { code: 'StorageUnusable' };
      await expect(store.put('link/new', chunksOf(contentOf(1)))).rejects.toMatchObject(refused);
      await expect(store.get('link/secret')).rejects.toMatchObject(refused);
      await expect(store.head('link/secret')).rejects.toMatchObject(refused);
      await expect(store.delete('link/secret')).rejects.toMatchObject(refused);
      await expect(store.copy('link/secret', 'mine')).rejects.toMatchObject(refused);
      expect(await all(store.list())).toEqual([]);
      expect(await readdir(join(path, 'outside'))).toEqual(['secret']);
    });

    test('in place of an object is no object, is not written through, and gives way to a replacement', async () => {
      await writeFile(join(path, 'target'), 'target');
      await symlink('target', join(path, 'LATEST'));
      const store = openDirectoryStore({ path, host: 'test' });
      expect(await store.head('LATEST')).toBeUndefined();
      await expect(store.get('LATEST')).rejects.toMatchObject({ code: 'ObjectMissing' });
      await expect(store.put('LATEST', chunksOf(contentOf(1)))).rejects.toMatchObject({ code: 'ObjectExists' });
      await store.put('LATEST', chunksOf(Buffer.from('new')), { replace: true });
      expect(await readFile(join(path, 'target'), 'utf8')).toBe('target');
      expect((await collect(await store.get('LATEST'))).toString()).toBe('new');
    });

    test('to the folder itself is the operator’s own affair', async () => {
      await mkdir(join(path, 'disk'));
      await symlink('disk', join(path, 'backups'));
      const store = openDirectoryStore({ path: join(path, 'backups'), host: 'test' });
      await store.put('a/b', chunksOf(contentOf(3)));
      expect(await all(store.list())).toMatchObject([{ key: 'a/b' }]);
    });
  });

  test('says so when a file gets shorter under its reader', async () => {
    const store = openDirectoryStore({ path, host: 'test' });
    await store.put('cut', chunksOf(contentOf(3_000_000)));
    const reading = async (): Promise<void> => {
      for await (const chunk of await store.get('cut')) {
        expect(chunk.length).toBeGreaterThan(0);
        await truncate(join(path, 'cut'), 1_000_000);
      }
    };
    await expect(reading()).rejects.toMatchObject({
      code: 'ContentLost',
      message: expect.stringContaining('3000000') as string,
    });
  });

  test('says what stands in the way', async () => {
    await writeFile(join(path, 'file'), '');
    const store = openDirectoryStore({ path, host: 'test' });
    await expect(store.put('file/below', chunksOf(contentOf(1)))).rejects.toMatchObject({ code: 'StorageUnusable' });
    const below = openDirectoryStore({ path: join(path, 'file'), host: 'test' });
    await expect(below.put('x', chunksOf(contentOf(1)))).rejects.toMatchObject({ code: 'StorageUnusable' });
  });

  describe('in trouble', () => {
    const outcomeOf = async (command: string, args: string[], options: ExecFileOptions = {}): Promise<unknown> => {
      const { stdout } = await run(command, args, { ...options, encoding: 'utf8' });
      return JSON.parse(stdout);
    };
    /** A put in a mount namespace of its own, where no test can leave a mount behind; works for any user. */
    const mounted = async (prepare: string, key: string, bytes: number): Promise<unknown> => {
      const script = `mount -t tmpfs -o size=4m none "${path}" && ${prepare} && "$0" "$@" && find "${path}" -type f >&2`;
      const args = [
        '--map-root-user',
        '--mount',
        'sh',
        '-c',
        script,
        process.execPath,
        putProcess,
        path,
        key,
        String(bytes),
      ];
      const { stdout, stderr } = await run('unshare', args);
      return { ...(JSON.parse(stdout) as object), left: stderr.split('\n').filter((line) => line !== '') };
    };

    test('a full disk: says how much is free, and leaves nothing on it', async () => {
      expect(await mounted('true', 'big', 8_000_000)).toMatchObject({
        ours: true,
        code: 'StorageFull',
        message: expect.stringMatching(/disk is full, \d+ bytes are free/) as string,
        cure: expect.stringContaining('retention') as string,
        left: [],
      });
    });

    test('a disk mounted read-only', async () => {
      expect(await mounted(`mount -o remount,ro "${path}"`, 'x', 10)).toMatchObject({
        ours: true,
        code: 'AccessDenied',
        message: expect.stringContaining('read-only') as string,
      });
    });

    test('a file that may not grow further', async () => {
      const args = ['-c', 'ulimit -f 100 && exec "$0" "$@"', process.execPath, putProcess, path, 'big', '1000000'];
      expect(await outcomeOf('sh', args)).toMatchObject({ ours: true, code: 'StorageFull' });
      expect(await readdir(path)).toEqual([]);
    });

    test('a folder of somebody else: names path, user and cure', async () => {
      await chmod(path, 0o555);
      // Root may write everywhere, so it lends the test the user who may nowhere.
      const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
      expect(await outcomeOf(process.execPath, [putProcess, path, 'x', '1'], nobody)).toMatchObject({
        ours: true,
        code: 'AccessDenied',
        message: expect.stringMatching(new RegExp(`${path}/x.*uid \\d+`)) as string,
        cure: expect.stringContaining('chown') as string,
      });
    });

    test('a folder that takes a name and cannot make it durable: the put and the copy fail, and nothing has the name', async () => {
      const store = openDirectoryStore({ path, host: 'test' });
      await store.put('original', chunksOf(contentOf(10)));
      // Names can be made in it, but it cannot be opened to be flushed: root can, so it lends the test another user.
      const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
      if (nobody.uid !== undefined) {
        await chown(path, nobody.uid, nobody.gid);
        await chown(join(path, 'original'), nobody.uid, nobody.gid);
      }
      await chmod(path, 0o300);
      expect(await outcomeOf(process.execPath, [putProcess, path, 'x', '10'], nobody)).toMatchObject({
        ours: true,
        code: 'AccessDenied',
      });
      expect(await outcomeOf(process.execPath, [putProcess, path, 'y', 'original', 'copy'], nobody)).toMatchObject({
        ours: true,
        code: 'AccessDenied',
      });
      await chmod(path, 0o700);
      expect(await readdir(path)).toEqual(['original']);
    });

    test('a process killed in its put leaves no object, and a temporary file that is known as such', async () => {
      const child = spawn(process.execPath, [putProcess, path, 'app/dump.sql.gz', '3000000', 'stay']);
      const exited = once(child, 'exit');
      await once(child.stdout, 'data');
      child.kill('SIGKILL');
      await exited;
      const store = openDirectoryStore({ path, host: 'test' });
      expect(await store.head('app/dump.sql.gz')).toBeUndefined();
      expect(await all(store.list())).toEqual([]);
      const left = await all(store.unfinished('app/'));
      expect(left).toMatchObject([{ key: 'app/dump.sql.gz' }]);
      expect(await readdir(join(path, 'app'))).toEqual([
        expect.stringMatching(/^\.dump\.sql\.gz\.[0-9a-f]+\.partial$/),
      ]);
      for (const each of left) await each.discard();
      expect(await readdir(join(path, 'app'))).toEqual([]);
      await store.put('app/dump.sql.gz', chunksOf(contentOf(10)));
    });
  });
});
