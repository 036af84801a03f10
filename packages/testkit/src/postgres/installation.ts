import { access, cp, readdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { constants, existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { TestkitError } from '../errors.ts';
import { run } from '../processes/run.ts';
import type { Account } from './account.ts';

/** Major versions of PostgreSQL that tests can ask for. */
export const majors = [14, 15, 16, 17, 18] as const;
export type Major = (typeof majors)[number];

/** Where the files of one PostgreSQL server are. */
export interface Installation {
  /** initdb, pg_ctl, postgres. */
  binDir: string;
  /** What `pg_config --sharedir` would say: extension files, time zones. */
  shareDir: string;
  /** What `pg_config --pkglibdir` would say: loadable modules. */
  moduleDir: string;
  /** Top of a package that brings all of this; undefined for one that the system installed. */
  packageDir?: string;
}

/**
 * Finds a server of that major: 15 as the system installed it, the others from npm packages, and those too from the
 * system where the packages do not fit the machine.
 * @throws TestkitError `NotInstalled`
 */
export async function findInstallation(major: Major): Promise<Installation> {
  const found = (await packaged(major)) ?? (await installed(major));
  if (found) return found;
  throw new TestkitError(
    'NotInstalled',
    `No PostgreSQL ${major} server was found on this machine. Install it (on Debian: apt-get install postgresql-${major}), ` +
      'or put the directory of its pg_config into PATH.',
  );
}

async function packaged(major: Major): Promise<Installation | undefined> {
  let manifest: string;
  try {
    // The package exports nothing but its index, which stands in dist/.
    manifest = createRequire(import.meta.url).resolve(`pg${major}`);
  } catch {
    return undefined;
  }
  const packageDir = join(dirname(manifest), '..');
  const native = join(packageDir, 'native');
  await hydrate(packageDir);
  return {
    binDir: join(native, 'bin'),
    shareDir: join(native, 'share/postgresql'),
    moduleDir: join(native, 'lib/postgresql'),
    packageDir,
  };
}

/**
 * npm packages cannot hold symbolic links; the package's own script makes them, and takes no harm from another one that
 * does the same at the same time.
 */
async function hydrate(packageDir: string): Promise<void> {
  const libraries = await readdir(join(packageDir, 'native/lib'));
  if (libraries.includes('libpq.so.5') && libraries.includes('libicuuc.so.60')) return;
  await run(process.execPath, ['scripts/hydrate-symlinks.js'], { cwd: packageDir });
}

async function installed(major: Major): Promise<Installation | undefined> {
  const candidates = [
    `/usr/lib/postgresql/${major}/bin/pg_config`,
    `/usr/pgsql-${major}/bin/pg_config`,
    `/opt/homebrew/opt/postgresql@${major}/bin/pg_config`,
    `/usr/local/opt/postgresql@${major}/bin/pg_config`,
    'pg_config',
  ];
  for (const candidate of candidates) {
    if (candidate.startsWith('/') && !existsSync(candidate)) continue;
    const settings = await run(candidate, ['--bindir', '--sharedir', '--pkglibdir', '--version']).catch(
      () => undefined,
    );
    const [binDir, shareDir, moduleDir, version] = settings?.stdout.trim().split('\n') ?? [];
    if (!binDir || !shareDir || !moduleDir || !version?.startsWith(`PostgreSQL ${major}`)) continue;
    if (existsSync(join(binDir, 'initdb'))) return { binDir, shareDir, moduleDir };
  }
  return undefined;
}

/**
 * The same installation where `account` can read and run it: a clone below a home directory is closed to the account
 * that servers run as, and is then copied into `directory`.
 */
export async function reachableBy(account: Account, found: Installation, directory: string): Promise<Installation> {
  const { packageDir } = found;
  if (packageDir === undefined) return found;
  const reached = await run(join(found.binDir, 'initdb'), ['--version'], account).then(
    () => true,
    () => false,
  );
  if (reached) return found;
  const copy = join(directory, 'package');
  await cp(packageDir, copy, { recursive: true, verbatimSymlinks: true });
  await access(join(copy, 'native/bin/initdb'), constants.X_OK);
  const moved = (path: string): string => join(copy, path.slice(packageDir.length));
  return {
    binDir: moved(found.binDir),
    shareDir: moved(found.shareDir),
    moduleDir: moved(found.moduleDir),
    packageDir: copy,
  };
}
