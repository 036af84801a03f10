#!/usr/bin/env node
// Plain JavaScript on purpose: an old Node must reach the message below, and cannot load main.ts.
if (Number(process.versions.node.split('.')[0]) < 24) {
  process.stderr.write(
    `strideiq needs Node.js 24 or newer; this is ${process.version}.\n` +
      'In a checkout, start it by `npx strideiq`, which brings its own Node.js.\n',
  );
  process.exit(2);
}
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
