#!/usr/bin/env node
/**
 * Installs what this checkout lacks: `node tools/setup.mjs [--for quickstart|test|bench]`. The entry scripts run it first, so
 * it says nothing and takes no time where all is there.
 *
 * As root on Debian and its kin it installs the system's packages; elsewhere it prints what to install and ends with 2.
 * Exit codes: 0 all is there, 1 an installation failed, 2 a person has to act. Plain JavaScript that Node 20 runs.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { nodeMajor, repository, runHere } from './programs.mjs';

/** Ends the script with 2 and its message: something that only a person can do. */
class NeedsPerson extends Error {}

/** What each purpose needs of the system, how to see it, and what it is called by each package manager. */
const needs = {
  postgres: {
    what: 'PostgreSQL, server and clients',
    isThere: () =>
      postgresDirectories().some((directory) =>
        ['initdb', 'pg_config', 'pg_dump'].every((each) => existsSync(join(directory, each))),
      ),
    // Debian 12 is where all is tested; every other release has a default of its own.
    debian: (release) => [release === 'debian 12' ? 'postgresql-15' : 'postgresql'],
    fedora: ['postgresql-server', 'postgresql-contrib', 'postgresql-server-devel'],
    homebrew: ['postgresql@17'],
  },
  ceph: {
    what: "Ceph's S3 server",
    isThere: () => ['ceph', 'ceph-mon', 'ceph-osd', 'ceph-mgr', 'radosgw', 'radosgw-admin'].every(inPath),
    debian: () => ['ceph-mon', 'ceph-osd', 'ceph-mgr', 'radosgw'],
    fedora: ['ceph-mon', 'ceph-osd', 'ceph-mgr', 'ceph-radosgw'],
    // Ceph has no server for macOS.
    homebrew: undefined,
  },
  network: {
    what: 'ip, for networks of their own in tests',
    isThere: () => inPath('ip'),
    debian: () => ['iproute2'],
    fedora: ['iproute'],
    homebrew: undefined,
  },
  processes: {
    what: 'ps, for a look at what tests left running',
    isThere: () => inPath('ps'),
    debian: () => ['procps'],
    fedora: ['procps-ng'],
    // macOS brings its own.
    homebrew: [],
  },
  curl: {
    what: 'curl, as which tests ask the REST API',
    isThere: () => inPath('curl'),
    debian: () => ['curl'],
    fedora: ['curl'],
    homebrew: [],
  },
  libdeflate: {
    what: 'libdeflate, which compresses faster than zlib',
    isThere: () =>
      libraryDirectories().some((directory) =>
        ['libdeflate.so.0', 'libdeflate.dylib'].some((file) => existsSync(join(directory, file))),
      ),
    debian: () => ['libdeflate0'],
    fedora: ['libdeflate'],
    homebrew: ['libdeflate'],
  },
  pigz: {
    what: 'pigz, gzip on several processors, to compare with',
    isThere: () => inPath('pigz'),
    debian: () => ['pigz'],
    fedora: ['pigz'],
    homebrew: ['pigz'],
  },
};

/** The quickstart uses Ceph and libdeflate where they are installed, and does without where they are not. */
const purposes = {
  quickstart: ['postgres'],
  test: ['postgres', 'ceph', 'network', 'processes', 'curl', 'libdeflate'],
  // The AWS CLI too, where it is there already; it is too much to install for a line of a table.
  bench: ['postgres', 'ceph', 'libdeflate', 'pigz'],
};

/** Where shared libraries stand; Debian has a folder more for each kind of machine. */
function libraryDirectories() {
  const machines = existsSync('/usr/lib') ? readdirSync('/usr/lib').filter((name) => name.includes('-linux-')) : [];
  return [
    ...machines.map((name) => join('/usr/lib', name)),
    '/usr/lib',
    '/usr/lib64',
    '/usr/local/lib',
    '/opt/homebrew/lib',
  ];
}

function postgresDirectories() {
  const below = (parent, rest) =>
    existsSync(parent) ? readdirSync(parent).map((name) => join(parent, name, rest)) : [];
  return [
    ...below('/usr/lib/postgresql', 'bin'),
    ...['/usr', '/opt/homebrew/opt', '/usr/local/opt']
      .flatMap((parent) => below(parent, 'bin'))
      .filter((directory) => /\/(pgsql-|postgresql@)\d+\/bin$/.test(directory)),
    ...pathDirectories(),
  ];
}

function pathDirectories() {
  return (process.env.PATH ?? '').split(delimiter).filter((directory) => directory !== '');
}

function inPath(program) {
  // Some servers stand in sbin, which is not in everyone's PATH.
  return [...pathDirectories(), '/usr/sbin', '/usr/local/sbin'].some((directory) =>
    existsSync(join(directory, program)),
  );
}

/** `debian 12`, `ubuntu 24.04`, `fedora 42`, `darwin`; and the family whose packages it takes. */
function system() {
  if (process.platform !== 'linux')
    return { release: process.platform, family: process.platform === 'darwin' ? 'homebrew' : 'other' };
  const text = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  const value = (key) => new RegExp(`^${key}="?([^"\n]*)"?$`, 'm').exec(text)?.[1] ?? '';
  const names = `${value('ID')} ${value('ID_LIKE')}`.split(/\s+/);
  const family = names.includes('debian') ? 'debian' : names.includes('fedora') ? 'fedora' : 'other';
  return { release: `${value('ID')} ${value('VERSION_ID')}`, family };
}

async function setUp(purpose) {
  const missing = purposes[purpose].map((name) => needs[name]).filter((need) => !need.isThere());
  if (missing.length > 0) await installMissing(missing);
  if (dependenciesAreStale()) {
    await step('Installing the dependencies of package-lock.json', 'npm', ['ci', '--no-audit', '--no-fund']);
  }
  const major = nodeMajor();
  if (major < 24) {
    throw new NeedsPerson(
      `Node.js 24 or newer is needed, and this is ${process.version}. On Linux with glibc, npm brings it; here, install it from\n` +
        'https://nodejs.org or with your package manager, then run the same command again.',
    );
  }
  if (purpose !== 'test') return;
  // Newer pg_dump and psql than the system's own: servers of 17 and 18 refuse older ones.
  const code = await runHere(process.execPath, [join(repository, 'tools', 'postgres-clients.mjs'), '17', '18']);
  if (code !== 0) process.exit(code);
  await runHere(process.execPath, [join(repository, 'tools', 'promtool.mjs')]);
}

async function installMissing(missing) {
  const { release, family } = system();
  if (family !== 'debian' || process.getuid?.() !== 0) throw new NeedsPerson(instructions(missing, release, family));
  const packages = missing.flatMap((need) => need.debian(release));
  const apt = ['-o', 'DPkg::Lock::Timeout=300', '-o', 'Acquire::Retries=3'];
  await step("Reading the list of Debian's packages", 'apt-get', [...apt, 'update']);
  const allowAgain = withoutSystemCluster();
  try {
    const install = ['install', '--yes', '--no-install-recommends', ...packages];
    await step(`Installing ${packages.join(', ')}`, 'apt-get', [...apt, ...install]);
  } finally {
    allowAgain();
  }
  const still = missing.filter((need) => !need.isThere()).map(({ what }) => what);
  if (still.length > 0)
    throw new NeedsPerson(`${packages.join(' ')} were installed, and ${still.join(', ')} cannot be found still.`);
}

/**
 * Debian starts a server of its own as soon as PostgreSQL is installed. Nobody asked for one: tests and quickstart start
 * theirs. A drop-in file holds it back while we install, and is gone afterwards, so that the system is as it would be.
 * @returns {() => void} takes the file away
 */
function withoutSystemCluster() {
  const file = '/etc/postgresql-common/createcluster.d/strideiq-setup.conf';
  // Where PostgreSQL was before us, its settings are somebody's own.
  if (existsSync('/etc/postgresql-common')) return () => {};
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, 'create_main_cluster = false\n');
  return () => rmSync(file, { force: true });
}

function instructions(missing, release, family) {
  const list = missing.map(({ what }) => `  - ${what}`).join('\n');
  const intro = `What is missing on this machine (${release}):\n${list}\n`;
  if (family === 'debian') {
    const packages = missing.flatMap((need) => need.debian(release)).join(' ');
    const command = `sudo apt-get update && sudo apt-get install --no-install-recommends ${packages}`;
    return `${intro}\nOnly root can install it. Run this, and then the same command again:\n\n  ${command}\n`;
  }
  const named = missing.flatMap((need) => need[family] ?? []);
  const unnamed = missing.filter((need) => family !== 'other' && need[family] === undefined).map(({ what }) => what);
  const commands = { fedora: 'sudo dnf install', homebrew: 'brew install' };
  const how =
    family === 'other'
      ? `Install it with your package manager; on Debian the packages are:\n\n  ${missing.flatMap((need) => need.debian('')).join(' ')}\n`
      : named.length > 0
        ? `Run this, and then the same command again:\n\n  ${commands[family]} ${named.join(' ')}\n`
        : '';
  const rest =
    unnamed.length === 0
      ? ''
      : `${unnamed.join(', ')}: not to be had here. Run this command in a container or machine with Debian 12.\n`;
  return `${intro}\n${how}${rest}`;
}

/**
 * Whether `npm ci` has to run: nothing is installed, or the lock file changed since in what concerns this machine. A
 * lock file that is only newer, as after a change of branches and back, is no reason to install all anew.
 */
function dependenciesAreStale() {
  const wanted = join(repository, 'package-lock.json');
  const installed = join(repository, 'node_modules', '.package-lock.json');
  if (!existsSync(installed)) return true;
  if (statSync(installed).mtimeMs >= statSync(wanted).mtimeMs) return false;
  const read = (file) => JSON.parse(readFileSync(file, 'utf8')).packages;
  const [lock, here] = [read(wanted), read(installed)];
  const differs = (path) =>
    here[path]?.version !== lock[path]?.version || here[path]?.integrity !== lock[path]?.integrity;
  // Optional packages of other machines are in the lock file, and rightly not here.
  const needed = Object.keys(lock).filter((path) => path !== '' && (here[path] !== undefined || !lock[path].optional));
  return needed.some(differs) || Object.keys(here).some((path) => lock[path] === undefined);
}

/** Runs one quiet step: a line when it begins, its time when it ends, its output only where it fails. */
async function step(what, program, args) {
  const begun = Date.now();
  process.stderr.write(`${what} …`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const child = spawn(program, args, { cwd: repository, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output = (output + text).slice(-8000);
    });
  }
  const stop = (signal) => child.kill(signal);
  process.once('SIGINT', stop).once('SIGTERM', stop);
  const code = await new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (exit, signal) => resolve(exit ?? signal));
  });
  process.off('SIGINT', stop).off('SIGTERM', stop);
  const seconds = ((Date.now() - begun) / 1000).toFixed(0);
  process.stderr.write(code === 0 ? ` ${seconds} s\n` : ` failed after ${seconds} s\n`);
  if (code === 0) return;
  process.stderr.write(`${output.trimEnd()}\n${program} ${args.join(' ')} ended with ${code}.\n`);
  process.exit(1);
}

function purposeFrom(args) {
  const purpose = args.length === 0 ? 'test' : args[0] === '--for' && args.length === 2 ? args[1] : undefined;
  if (purpose !== undefined && Object.hasOwn(purposes, purpose)) return purpose;
  throw new NeedsPerson(`Usage: node tools/setup.mjs [--for ${Object.keys(purposes).join('|')}]`);
}

try {
  if (Number(process.versions.node.split('.')[0]) < 20) {
    throw new NeedsPerson(
      `Node.js 20 or newer is needed to begin, and this is ${process.version}. Install it from https://nodejs.org.`,
    );
  }
  await setUp(purposeFrom(process.argv.slice(2)));
} catch (error) {
  if (!(error instanceof NeedsPerson)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
