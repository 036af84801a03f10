#!/usr/bin/env node
// Plain JavaScript on purpose: an old Node must reach the message below, and cannot load main.ts.
if (Number(process.versions.node.split('.')[0]) < 24) {
  process.stderr.write(
    `strideiq needs Node.js 24 or newer; this is ${process.version}.\n` +
      'In a checkout, start it by `npx strideiq`, which brings its own Node.js.\n',
  );
  process.exit(2);
}
await import('../src/main.ts');
