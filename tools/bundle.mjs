#!/usr/bin/env node
/**
 * Puts one program into a folder as it ships: `npm run bundle -- agent|control-plane|cli FOLDER`. The images hold such a
 * folder, and any machine of the same kind with Node.js 24 and glibc runs it, without the repository and without npm.
 *
 * It holds the launcher of `bin/` under its name, `main.js` with everything it imports, the migrations beside it, where
 * `import.meta.dirname` looks for them, what is native as a package of its own, and everyone's licenses.
 */
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { basename, join, resolve } from 'node:path';
import { build } from 'vite';
import { repository } from './programs.mjs';

/** Where the launchers load the program from, in a checkout and in a bundle. */
const sources = '../src/main.ts';
const bundled = './main.js';

/** koffi keeps what is native in a package for each kind of machine. */
const koffiPart = `@koromix/koffi-${process.platform}-${process.arch}`;

/** Packages with native parts, which no bundle can hold, and the files that they need of themselves. */
const native = {
  'better-sqlite3': ['package.json', 'LICENSE', 'lib', `prebuilds/${process.platform}-${process.arch}.node`],
  koffi: ['package.json', 'LICENSE.txt', 'index.js', 'src/koffi/index.js', 'src/koffi/src/static.js'],
  [koffiPart]: ['package.json', 'index.js', `${process.platform}_${process.arch}`],
};

async function bundle(app, folder) {
  const room = join(repository, 'apps', app);
  const { name, version, license, bin } = JSON.parse(readFileSync(join(room, 'package.json'), 'utf8'));
  const imports = await buildMain(room, folder);
  for (const each of imports) copyNative(each, folder);
  // The program does without where npm had none for this kind of machine.
  if (imports.includes('koffi') && existsSync(join(repository, 'node_modules', koffiPart)))
    copyNative(koffiPart, folder);
  copyMigrations(room, folder);
  const [[program, launcher]] = Object.entries(bin);
  const text = readFileSync(join(room, launcher), 'utf8');
  if (!text.includes(`import('${sources}')`)) throw new Error(`${launcher} of ${name} does not import ${sources}`);
  writeFileSync(join(folder, `${program}.js`), text.replace(`import('${sources}')`, `import('${bundled}')`));
  chmodSync(join(folder, `${program}.js`), 0o755);
  writeFileSync(
    join(folder, 'package.json'),
    `${JSON.stringify({ name, version, license, type: 'module' }, null, 2)}\n`,
  );
  cpSync(join(repository, 'LICENSE'), join(folder, 'LICENSE'));
}

/** @returns what the bundle still imports: packages with native parts */
async function buildMain(room, folder) {
  const { output } = await build({
    configFile: false,
    envDir: false,
    publicDir: false,
    root: room,
    logLevel: 'warn',
    ssr: { target: 'node', noExternal: true, external: Object.keys(native) },
    build: {
      ssr: 'src/main.ts',
      outDir: folder,
      emptyOutDir: false,
      target: 'node24',
      // The size on disk is nothing beside that of Node.js itself; a stack trace that can be read is worth it.
      minify: false,
      license: { fileName: 'LICENSES.md' },
      rolldownOptions: { output: { entryFileNames: basename(bundled), codeSplitting: false } },
    },
  });
  const imported = output.flatMap(({ imports = [], dynamicImports = [] }) => [...imports, ...dynamicImports]);
  // What the program loads late from its own code is in the same file.
  const own = output.map(({ fileName }) => fileName);
  return [...new Set(imported)].filter((name) => !isBuiltin(name) && !own.includes(name));
}

function copyNative(name, folder) {
  const files = native[name];
  if (!files) throw new Error(`the bundle still imports ${name}`);
  const [from, to] = [join(repository, 'node_modules', name), join(folder, 'node_modules', name)];
  for (const file of files) cpSync(join(from, file), join(to, file), { recursive: true });
}

/** All code of a bundle stands in one folder, so it can find only one set of migrations there. */
function copyMigrations(room, folder) {
  const found = readdirSync(join(room, 'src'), { recursive: true }).filter((path) => basename(path) === 'migrations');
  if (found.length > 1) throw new Error(`one bundle cannot hold both ${found.join(' and ')}`);
  for (const path of found) cpSync(join(room, 'src', path), join(folder, 'migrations'), { recursive: true });
}

const [app, given, ...more] = process.argv.slice(2);
const apps = readdirSync(join(repository, 'apps'));
if (!apps.includes(app) || given === undefined || more.length > 0) {
  process.stderr.write(`Usage: npm run bundle -- ${apps.join('|')} FOLDER\n`);
  process.exit(2);
}
const folder = resolve(given);
if (existsSync(folder) && readdirSync(folder).length > 0) {
  process.stderr.write(`${folder} is not empty: name a folder that is, or none yet.\n`);
  process.exit(2);
}
mkdirSync(folder, { recursive: true });
await bundle(app, folder);
process.stdout.write(`${folder}\n`);
