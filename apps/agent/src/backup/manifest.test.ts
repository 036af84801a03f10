import { parseManifest } from '@strideiq/core';
import { expect, test } from 'vitest';
import { exampleManifest as manifest } from '../testing/example-manifest.ts';
import { manifestText } from './manifest.ts';

test('a manifest is stored as JSON with each part on a line, to the byte', () => {
  const parts = Object.entries(manifest)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
  const text = manifestText(manifest, 'a.manifest.json').toString();
  expect(text).toBe(`{\n${parts.join(',\n')}\n}\n`);
  const { signature: _, ...written } = manifest;
  expect(parseManifest(text, 'a.manifest.json').manifest).toEqual(written);
});

test('a manifest that could not be read back is not written', () => {
  const object = { ...manifest.object, bytes: 31 };
  expect(() => manifestText({ ...manifest, object }, 'a.manifest.json')).toThrow('a.manifest.json contradicts itself');
  const startedAt = 'yesterday';
  expect(() => manifestText({ ...manifest, startedAt }, 'a.manifest.json')).toThrow('startedAt');
});
