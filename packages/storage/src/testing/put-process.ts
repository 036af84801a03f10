/**
 * A program for tests that need a put in a process of its own, with another user, limits or mounts, or to be killed:
 * `put-process.ts FOLDER KEY BYTES [stay]`, or `put-process.ts FOLDER KEY FROM copy`. Prints the outcome as JSON, or `waiting` once BYTES were stored and it
 * stays in the middle of its put.
 */
import { CodedError } from '@strideiq/core';
import { openDirectoryStore } from '../directory-store.ts';
import { chunksOf, contentOf } from './content.ts';

const [path = '', key = '', bytes = '0', then] = process.argv.slice(2);

async function* source(): AsyncGenerator<Uint8Array> {
  yield* chunksOf(contentOf(Number(bytes)));
  if (then !== 'stay') return;
  // A timer, since a promise alone does not keep a process.
  setInterval(() => undefined, 60_000);
  process.stdout.write('waiting\n');
  await new Promise<never>(() => undefined);
}

try {
  const store = openDirectoryStore({ path, host: 'test' });
  const { sizeBytes } = await (then === 'copy' ? store.copy(bytes, key) : store.put(key, source()));
  process.stdout.write(JSON.stringify({ sizeBytes }));
} catch (error) {
  const { code, message, cure } = error as CodedError;
  process.stdout.write(JSON.stringify({ ours: error instanceof CodedError, code, message, cure }));
}
