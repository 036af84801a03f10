import { parseManifest, type Manifest } from '@strideiq/core';

/**
 * A manifest as it is stored: JSON with each of its parts on a line of its own, so that grep finds it.
 * @param name for errors
 * @throws CoreError `ManifestInvalid` where it could not be read back: better no backup than one that nobody can use
 */
export function manifestText(manifest: Manifest, name: string): Buffer {
  const parts = Object.entries(manifest).map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
  const text = `{\n${parts.join(',\n')}\n}\n`;
  parseManifest(text, name);
  return Buffer.from(text);
}
