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
await import('../src/main.ts');
