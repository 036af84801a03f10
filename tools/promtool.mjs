#!/usr/bin/env node
/**
 * Unpacks promtool, which checks metrics and rules of Prometheus, into `.cache/promtool/`, leaving the system as it is: the
 * package would start a server. What is there already is left alone. Needs Debian's apt-get, but no root; elsewhere, and
 * where it cannot be had, the tests that ask it are left out, which is said here. Plain JavaScript that Node 20 runs.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const cache = join(import.meta.dirname, '../.cache/promtool');
const works = (program) => spawnSync(program, ['--version']).status === 0;

function unpack() {
  mkdirSync(cache, { recursive: true });
  const scratch = mkdtempSync(join(cache, 'unpacking-'));
  try {
    const options = { cwd: scratch, stdio: ['ignore', 'ignore', 'pipe'] };
    execFileSync('apt-get', ['download', '-qq', '-o', 'APT::Sandbox::User=root', 'prometheus'], options);
    const [file = ''] = readdirSync(scratch);
    execFileSync('dpkg-deb', ['--extract', file, 'unpacked'], options);
    renameSync(join(scratch, 'unpacked/usr/bin/promtool'), join(cache, 'promtool'));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

if (!works('promtool') && !works(join(cache, 'promtool'))) {
  try {
    unpack();
    process.stdout.write(`promtool: ${cache}\n`);
  } catch (error) {
    const why = String(error.stderr ?? error.message)
      .trim()
      .split('\n')
      .at(-1);
    process.stdout.write(`promtool cannot be had, and the tests that ask it are left out: ${why}\n`);
  }
}
