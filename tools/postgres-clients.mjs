#!/usr/bin/env node
/**
 * Unpacks pg_dump, pg_dumpall, pg_restore and psql of newer PostgreSQL majors into `.cache/postgres-clients/<major>/`,
 * leaving the system as it is: `node tools/postgres-clients.mjs 17 18`. What is there already is left alone.
 *
 * Needs Debian's apt-get, but no root; takes the packages from the mirror that this machine's apt uses. Exit code 2 where
 * the machine is another: then it prints what to install. Plain JavaScript that Node 20 runs, before `npm ci`.
 */
import { execFile, execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
/** The Debian release that brings each major. */
const suites = { 15: 'bookworm', 17: 'trixie', 18: 'forky' };
const tools = ['pg_dump', 'pg_dumpall', 'pg_restore', 'psql'];
const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
const cache = join(import.meta.dirname, '../.cache/postgres-clients');

/** @returns {Promise<boolean>} whether all four run and are of that major */
async function areThere(directory, major) {
  if (!tools.every((tool) => existsSync(join(directory, tool)))) return false;
  const answers = tools.map((tool) => run(join(directory, tool), ['--version']));
  const said = await Promise.all(answers).catch(() => []);
  return said.length === tools.length && said.every(({ stdout }) => new RegExp(` ${major}\\D`).test(stdout));
}

/** The mirror of the release that this machine runs, and not that of its security updates. */
function mirrorOfApt() {
  const format = '$(SITE)|$(RELEASE)|$(COMPONENT)';
  const targets = execFileSync('apt-get', ['indextargets', '--format', format, 'Created-By: Packages'], {
    encoding: 'utf8',
  });
  const release = /^VERSION_CODENAME=(.*)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
  const rows = targets.split('\n').map((line) => line.split('|'));
  const found = rows.find(([, of, component]) => of === release && component === 'main');
  if (!found) throw new Error(`apt knows no mirror of Debian ${release}: see /etc/apt/sources.list and sources.list.d`);
  return found[0];
}

/** Options that give apt-get a state and a cache of its own, so that the system's stay untouched. */
function aptOptions(apt, suite) {
  for (const part of ['lists/partial', 'cache/archives/partial', 'preferences'])
    mkdirSync(join(apt, part), { recursive: true });
  writeFileSync(join(apt, 'sources.list'), `deb [signed-by=${keyring}] ${mirrorOfApt()} ${suite} main\n`);
  writeFileSync(join(apt, 'status'), '');
  const settings = {
    'Dir::Etc::sourcelist': join(apt, 'sources.list'),
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::Etc::preferencesparts': join(apt, 'preferences'),
    'Dir::State::lists': join(apt, 'lists'),
    'Dir::State::status': join(apt, 'status'),
    'Dir::Cache': join(apt, 'cache'),
    'APT::Sandbox::User': 'root',
    'Acquire::Languages': 'none',
    // The signature is checked as always; only its date is not: a mirror may lag behind a suite that moves every day.
    'Acquire::Check-Valid-Until': 'false',
  };
  return ['-qq', ...Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`])];
}

/**
 * These programs want a newer C library than the system's: the wrapper starts them by the loader that came with them.
 * `--argv0` lets pg_dumpall find the pg_dump beside the wrapper instead of the naked one.
 */
function wrapper(root, major, tool) {
  const [loader] = ['usr/lib64', 'usr/lib', 'usr/lib/aarch64-linux-gnu', 'lib64', 'lib']
    .filter((directory) => existsSync(join(root, directory)))
    .flatMap((directory) => readdirSync(join(root, directory)).map((name) => `${directory}/${name}`))
    .filter((path) => /\/ld-linux[^/]*\.so\.\d$/.test(path));
  const multiarch = readdirSync(join(root, 'usr/lib')).find((name) => name.endsWith('-linux-gnu'));
  if (!loader || !multiarch) throw new Error(`the packages of PostgreSQL ${major} hold no loader`);
  return `#!/bin/sh
root=\${0%/*}/root
exec "$root/${loader}" --argv0 "$0" --library-path "$root/usr/lib/${multiarch}:$root/lib/${multiarch}" \\
  "$root/usr/lib/postgresql/${major}/bin/${tool}" "$@"
`;
}

async function unpack(major, directory) {
  const apt = join(directory, 'apt');
  const root = join(directory, 'root');
  mkdirSync(root, { recursive: true });
  const options = aptOptions(apt, suites[major]);
  await run('apt-get', [...options, 'update']);
  const download = ['install', '-y', '--no-install-recommends', '--download-only', `postgresql-client-${major}`];
  await run('apt-get', [...options, ...download]);
  const archives = join(apt, 'cache/archives');
  const unneeded = /^(perl|libperl|debconf|postgresql-client-common)|manpages/;
  for (const name of readdirSync(archives)) {
    if (name.endsWith('.deb') && !unneeded.test(name)) await run('dpkg-deb', ['-x', join(archives, name), root]);
  }
  rmSync(apt, { recursive: true });
  for (const unused of ['usr/share', 'usr/include', 'var', 'etc'])
    rmSync(join(root, unused), { recursive: true, force: true });
  for (const tool of tools) {
    writeFileSync(join(directory, tool), wrapper(root, major, tool));
    chmodSync(join(directory, tool), 0o755);
  }
  if (!(await areThere(directory, major))) throw new Error(`the unpacked clients of PostgreSQL ${major} do not run`);
}

/** Unpacked under another name first: nobody ever sees half of it, and of two at once one wins. */
async function provide(major) {
  const directory = join(cache, major);
  if (await areThere(directory, major)) return;
  const making = `${directory}.${process.pid}.making`;
  try {
    await unpack(major, making);
    if (!(await areThere(directory, major))) {
      rmSync(directory, { recursive: true, force: true });
      renameSync(making, directory);
    }
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
  console.log(`PostgreSQL ${major} clients: ${directory}`);
}

const wanted = process.argv.slice(2);
if (wanted.length === 0 || !wanted.every((major) => major in suites)) {
  console.error(`usage: node tools/postgres-clients.mjs MAJOR...   (of ${Object.keys(suites).join(', ')})`);
  process.exit(2);
}
const missing = [];
for (const major of wanted) if (!(await areThere(join(cache, major), major))) missing.push(major);
const isDebian = existsSync('/etc/os-release') && /^ID=debian$/m.test(readFileSync('/etc/os-release', 'utf8'));
if (missing.length > 0 && !(isDebian && existsSync(keyring))) {
  console.error(
    `This machine is no Debian${isDebian ? ' with debian-archive-keyring' : ''}: install pg_dump, pg_dumpall, pg_restore and psql of PostgreSQL ` +
      `${missing.join(' and ')} yourself (packages postgresql-client-${missing.join(', postgresql-client-')} of your system or of the ` +
      'PostgreSQL project) and put their directory into PATH.',
  );
  process.exit(2);
}
try {
  for (const major of missing) await provide(major);
} catch (error) {
  console.error(`postgres-clients: ${error.stderr || error.message}`);
  process.exit(1);
}
