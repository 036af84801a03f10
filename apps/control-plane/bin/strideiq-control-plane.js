#!/usr/bin/env -S node --max-semi-space-size=8
// The flag: when hundreds of agents come back at once, V8 would let its space for short-lived objects grow, and not shrink
// it again: 320 MB after a few times, instead of 170. It has to be there when the process begins.
// Plain JavaScript on purpose: an old Node must reach the message below, and cannot load main.ts.
if (Number(process.versions.node.split('.')[0]) < 24) {
  process.stderr.write(
    `strideiq-control-plane needs Node.js 24 or newer; this is ${process.version}.\n` +
      'In a checkout, start it by `npx strideiq-control-plane`, which brings its own Node.js.\n',
  );
  process.exit(2);
}
await import('../src/main.ts');
