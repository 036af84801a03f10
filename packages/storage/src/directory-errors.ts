import { statfsSync } from 'node:fs';
import { userInfo } from 'node:os';
import { StorageError } from './errors.ts';

/** What failed, for a person: `writing`, and the path it was done to. */
interface Attempt {
  doing: string;
  path: string;
}

/** Turns a system call's failure into one that says what to do; what is a StorageError already stays as it is. */
export function directoryError(cause: unknown, { doing, path }: Attempt): Error {
  if (cause instanceof StorageError) return cause;
  if (!(cause instanceof Error) || !('code' in cause)) return cause instanceof Error ? cause : new Error(String(cause));
  const error = (code: StorageError['code'], why: string, cure: string): StorageError =>
    new StorageError(code, `${doing} ${path} failed: ${why}.`, cure, { cause });
  switch (cause.code) {
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return error('StorageFull', `${fullness(cause.code)}, ${freeText(path)}`, cures.full);
    case 'EACCES':
    case 'EPERM':
      return error('AccessDenied', `user ${userText()} may not (${cause.code})`, cures.denied);
    case 'EROFS':
      return error('AccessDenied', `the file system is mounted read-only, for user ${userText()} too`, cures.readOnly);
    case 'ENOENT':
      return error('StorageUnusable', 'it, or the folder it is in, is not there any more', cures.unusable);
    case 'ENOTDIR':
    case 'EISDIR':
      return error(
        'StorageUnusable',
        'a file stands where a folder is needed, or the other way round',
        cures.notFolder,
      );
    case 'ELOOP':
      return error('StorageUnusable', 'a symbolic link stands in its way', cures.link);
    case 'EMFILE':
    case 'ENFILE':
    case 'EAGAIN':
    case 'EBUSY':
    case 'EINTR':
      return error('StorageBusy', `the system is short of what it needs for it (${cause.code})`, cures.busy);
    case 'ESTALE':
    case 'ETIMEDOUT':
    case 'EHOSTDOWN':
    case 'ENOTCONN':
      return error('StorageUnreachable', `the file server behind it does not answer (${cause.code})`, cures.server);
    default:
      return error('StorageUnusable', cause.message, cures.unusable);
  }
}

const cures = {
  full: 'Free space there, shorten the retention of this store, or point it at a larger disk; then run the backup again.',
  denied:
    'Give that user the folder (`chown USER FOLDER`, mode 0700) and passage through the ones above it, or run as the user who owns it.',
  readOnly: 'See why with `dmesg`, repair the disk where it reports errors, and remount it writable.',
  unusable:
    'See that the disk is mounted and sound (`findmnt`, `dmesg`), and that the path in the configuration is right.',
  notFolder: 'Move what stands there away, or give the store another path.',
  link: 'Stores follow no links below their own path, so that a link cannot lead a backup elsewhere: put a folder in its place.',
  busy: 'Try again; if it stays so, raise the limit of open files (`ulimit -n`).',
  server: 'See that the network file system is mounted and its server up; then try again.',
};

function fullness(code: unknown): string {
  if (code === 'EDQUOT') return 'the quota is used up';
  return code === 'EFBIG' ? 'the file grew past what the file system or `ulimit -f` allows' : 'the disk is full';
}

function userText(): string {
  const uid = process.getuid?.();
  try {
    return `${userInfo().username} (uid ${uid})`;
  } catch {
    // A uid without a line in the password file, as containers often run.
    return `with uid ${uid}`;
  }
}

function freeText(path: string): string {
  for (let at = path; ; at = at.slice(0, at.lastIndexOf('/'))) {
    try {
      const { bavail, bsize } = statfsSync(at === '' ? '/' : at);
      return `${bavail * bsize} bytes are free`;
    } catch {
      if (at === '') return 'how much is free is not known';
    }
  }
}
