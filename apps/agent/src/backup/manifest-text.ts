import type { Manifest } from '@strideiq/core';

/** A manifest as it is stored: JSON with each of its parts on a line of its own, so that grep finds it. */
export function manifestText(manifest: Manifest): Buffer {
  const parts = Object.entries(manifest).map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  return Buffer.from(`{\n${parts.join(',\n')}\n}\n`);
}
