import { chownSync } from 'node:fs';
import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../processes/run.ts';
import type { Account } from './account.ts';
import type { Installation, Major } from './installation.ts';

export interface PostgresOptions {
  /** Default 15. */
  major?: Major;
  /** Lines of postgresql.conf, over testkit's own: `{ fsync: 'on' }`. */
  settings?: Readonly<Record<string, string | number | boolean>>;
  /** More arguments of initdb; the default locale is C.UTF-8, the encoding UTF8. */
  initdbArgs?: readonly string[];
  /** Default `trust`: no password is asked for. */
  authentication?: 'trust' | 'scram';
  /**
   * A running server of the same major that this one follows, as a hot standby: read only. It must have been started with
   * the settings `wal_level: 'replica'` and `max_wal_senders` of 2 or more, and without a password.
   */
  standbyOf?: { port: number; host: string };
  /** Password of `postgres`; with scram and none given, one is made up. */
  superPassword?: string;
}

/** Speed before safety: what these clusters hold is thrown away in any case. */
const fastSettings = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  wal_level: 'minimal',
  max_wal_senders: 0,
  max_wal_size: '4GB',
  checkpoint_timeout: '1h',
  shared_buffers: '128MB',
  jit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
} as const;

/** Makes the data directory, `data` in `directory`, and its configuration. */
export async function initialise(what: {
  installation: Installation;
  account: Account;
  directory: string;
  authentication: 'trust' | 'scram';
  password: string | undefined;
  options: PostgresOptions;
}): Promise<void> {
  const { installation, account, directory, authentication, password, options } = what;
  const data = join(directory, 'data');
  const where = { ...account, env: serverEnv(), cwd: directory, timeoutMs: 60_000 };
  const passwordFile = join(directory, 'password');
  await mkdir(data, { mode: 0o700 });
  if (account.uid !== undefined) chownSync(data, account.uid, account.gid ?? account.uid);
  if (options.standbyOf) {
    const { host, port } = options.standbyOf;
    // -R makes it a standby of where it was copied from; the settings are copied too.
    const from = ['-h', host, '-p', String(port), '-U', 'postgres', '-X', 'stream', '-c', 'fast', '--no-sync', '-R'];
    await run(join(installation.binDir, 'pg_basebackup'), ['-D', data, ...from], where);
    return;
  }
  if (password !== undefined) {
    await writeFile(passwordFile, password, { mode: 0o600 });
    if (account.uid !== undefined) chownSync(passwordFile, account.uid, account.gid ?? account.uid);
  }
  const method = authentication === 'scram' ? 'scram-sha-256' : 'trust';
  const args = ['-D', data, '-U', 'postgres', '--no-sync', '-E', 'UTF8', '--locale=C.UTF-8', `--auth=${method}`];
  if (password !== undefined) args.push(`--pwfile=${passwordFile}`);
  await run(join(installation.binDir, 'initdb'), [...args, ...(options.initdbArgs ?? [])], where);
  const settings = { listen_addresses: '127.0.0.1', ...fastSettings, ...options.settings };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = '${String(value).replaceAll("'", "''")}'\n`);
  await appendFile(join(data, 'postgresql.conf'), lines.join(''));
}

/** What the server's own programs see: nothing of the developer's settings. */
export function serverEnv(): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C.UTF-8', TZ: 'UTC' };
}
