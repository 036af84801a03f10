import { copyFile, mkdir, readdir, symlink } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import type { Installation } from './installation.ts';

const ownExtensions = join(import.meta.dirname, '../../extension');

/**
 * Makes a second home for an installed server, whose extensions are those of the installation and ours, without
 * touching the installation. A server finds its files by the place of its own executable (`make_relative_path` in
 * PostgreSQL's src/port/path.c), so the executable is copied and everything else linked.
 * @returns path of the `postgres` to start
 */
export async function makeServerHome(installation: Installation, home: string): Promise<string> {
  const { binDir, shareDir, moduleDir } = installation;
  const root = commonParent([binDir, shareDir, moduleDir]);
  const inHome = (path: string): string => join(home, relative(root, path));
  for (const directory of [inHome(binDir), inHome(join(shareDir, 'extension')), dirname(inHome(moduleDir))]) {
    await mkdir(directory, { recursive: true });
  }
  const executable = join(inHome(binDir), 'postgres');
  await copyFile(join(binDir, 'postgres'), executable);
  await linkAll(shareDir, inHome(shareDir), ['extension']);
  await linkAll(join(shareDir, 'extension'), inHome(join(shareDir, 'extension')));
  await linkAll(ownExtensions, inHome(join(shareDir, 'extension')), [], copyFile);
  await symlink(moduleDir, inHome(moduleDir));
  // Libraries that a package brings lie beside the directory of modules, where its executables look for them.
  if (installation.packageDir !== undefined)
    await linkAll(dirname(moduleDir), dirname(inHome(moduleDir)), [basename(moduleDir)]);
  return executable;
}

async function linkAll(
  from: string,
  to: string,
  except: readonly string[] = [],
  place: (target: string, path: string) => Promise<void> = symlink,
): Promise<void> {
  const names = (await readdir(from)).filter((name) => !except.includes(name));
  await Promise.all(names.map((name) => place(join(from, name), join(to, name))));
}

function commonParent(paths: readonly string[]): string {
  const [first = '/', ...others] = paths;
  let parent = dirname(first);
  while (parent !== '/' && !others.every((path) => path.startsWith(`${parent}/`))) parent = dirname(parent);
  return parent;
}
