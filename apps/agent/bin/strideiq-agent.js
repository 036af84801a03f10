#!/usr/bin/env node
// Plain JavaScript on purpose: an old Node must reach the message below, and cannot load main.ts.
if (Number(process.versions.node.split('.')[0]) < 24) {
  process.stderr.write(
    `strideiq-agent needs Node.js 24 or newer; this is ${process.version}.\n` +
      'In a checkout, start it by `npx strideiq-agent`, which brings its own Node.js.\n',
  );
  process.exit(2);
}
// The memory beside a database is the database's. Left to itself V8 lets the nursery of its heap grow to hundreds of MB
// before it looks for garbage, of which loading the libraries alone makes that much.
const { setFlagsFromString } = await import('node:v8');
setFlagsFromString('--optimize-for-size');
// Each call into a dead mount holds one of Node's threads for ever, and without a free one nothing goes on, not even a name
// is looked up. A daemon lives long enough to meet more of them than the usual four.
if (process.argv[2] === 'run') process.env.UV_THREADPOOL_SIZE ??= '16';
// What V8 made of the code is kept beside this file where it may be written: the next start is quicker and takes 10 to
// 25 MB less. Not in the shared /tmp, where Node.js would put it: whoever writes there first would write what we run.
const { mkdirSync } = await import('node:fs');
const { enableCompileCache } = await import('node:module');
try {
  mkdirSync(`${import.meta.dirname}/.cache`, { recursive: true, mode: 0o700 });
  enableCompileCache(`${import.meta.dirname}/.cache`);
} catch {
  // Not to be written to: each start compiles for itself.
}
await import('../src/main.ts');
