import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { chmod, link, lstat, mkdir, open, realpath, rename, stat, unlink, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { partialNameOf } from './keys.ts';

/**
 * The few steps on files that everything in a directory store is made of. They throw what the system said; the store
 * turns that into its own errors.
 */

/** Whether a system call failed with one of these codes. */
export function failedWith(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}

/**
 * Lets a folder pass that is reached from `trusted` without a link, or is not there yet.
 * @throws `ELOOP`
 */
export async function refuseLinks(folder: string, trusted: string): Promise<void> {
  try {
    const [found, root] = [await realpath(folder), await realpath(trusted)];
    if (found !== join(root, relative(trusted, folder))) throw systemError('ELOOP', folder);
  } catch (error) {
    if (!failedWith(error, 'ENOENT', 'ENOTDIR')) throw error;
  }
}

/**
 * Makes `path` and what is missing above it, 0700 whatever the umask, and makes each new name durable.
 * @param trusted folder above which links are the operator's own affair; below it a link is refused (`ELOOP`)
 */
export async function makeFolder(path: string, trusted: string): Promise<void> {
  const found = await (path.length > trusted.length ? lstat(path) : stat(path)).catch((error: unknown) => {
    if (failedWith(error, 'ENOENT')) return undefined;
    throw error;
  });
  if (found?.isSymbolicLink() === true) throw systemError('ELOOP', path);
  if (found !== undefined && !found.isDirectory()) throw systemError('ENOTDIR', path);
  if (path.length > trusted.length || found === undefined) {
    if (dirname(path) !== path) await makeFolder(dirname(path), trusted);
  }
  if (found !== undefined) return;
  try {
    await mkdir(path, 0o700);
    await chmod(path, 0o700);
  } catch (error) {
    if (!failedWith(error, 'EEXIST')) throw error;
  }
  await syncFolder(dirname(path));
}

function systemError(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}

/** Makes the names in a folder survive a power cut (fsync(2), "Notes": the file's own fsync does not). */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } catch (error) {
    // Some network and FUSE file systems know no fsync of folders; their server decides then.
    if (!failedWith(error, 'EINVAL', 'ENOTSUP', 'EBADF')) throw error;
  } finally {
    await handle.close();
  }
}

/** A new empty temporary file beside `path`, 0600 whatever the umask. The caller closes the handle and removes the file. */
export async function createPartial(path: string): Promise<{ partial: string; handle: FileHandle }> {
  const partial = partialPath(path, randomBytes(8).toString('hex'));
  const handle = await open(partial, 'wx', 0o600);
  try {
    await handle.chmod(0o600);
    return { partial, handle };
  } catch (error) {
    await handle.close();
    await removeFile(partial);
    throw error;
  }
}

function partialPath(path: string, random: string): string {
  return join(dirname(path), partialNameOf(basename(path), random));
}

/** Removes a file; one that is not there is fine. */
export async function removeFile(path: string): Promise<void> {
  await unlink(path).catch((error: unknown) => {
    if (!failedWith(error, 'ENOENT')) throw error;
  });
}

/** What link(2) and friends say on file systems that have no hard links, or where this file may get no more of them. */
export function cannotLink(error: unknown): boolean {
  return failedWith(error, 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EXDEV');
}

/**
 * Gives `partial` the name `path`, which must be free, in one step.
 * @throws `EEXIST` where it is taken
 */
export async function nameForGood(partial: string, path: string): Promise<void> {
  try {
    await link(partial, path);
  } catch (error) {
    if (!cannotLink(error)) throw error;
    await renameIfFree(partial, path);
  }
}

/**
 * rename(2) overwrites, and RENAME_NOREPLACE is out of Node's reach: where there are no links, a claim file, which only
 * one can create, keeps others of our kind away between the look and the rename. A killed process leaves it among the
 * unfinished.
 */
async function renameIfFree(partial: string, path: string): Promise<void> {
  const claim = partialPath(path, 'claim');
  await (await open(claim, 'wx', 0o600)).close();
  try {
    const taken = await lstat(path).then(
      () => true,
      (error: unknown) => {
        if (failedWith(error, 'ENOENT')) return false;
        throw error;
      },
    );
    if (taken) throw systemError('EEXIST', path);
    await rename(partial, path);
  } finally {
    await removeFile(claim);
  }
}

/**
 * Puts a second name of `from` in the place of `path`, in one step.
 * rename(2) does nothing where both are names of one file already, so the temporary name is removed in any case.
 */
export async function linkOver(from: string, path: string): Promise<void> {
  const partial = partialPath(path, randomBytes(8).toString('hex'));
  await link(from, partial);
  try {
    await rename(partial, path);
  } finally {
    await removeFile(partial);
  }
}
