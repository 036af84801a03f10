import { createWriteStream } from 'node:fs';
import { mkdtemp, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

const prefix = 'standard-input-';
/** Longer than a restore takes: by then a file belongs to a program that was killed. */
const leftAfterMs = 24 * 60 * 60 * 1000;

/** A dump that came by standard input, kept as a file: it is read whole before any of it runs, and then once more. */
export interface KeptInput {
  path: string;
  remove(): Promise<void>;
}

/**
 * Keeps all that comes in the state directory, where nobody else may look.
 * @throws whatever the input or the disk says
 */
export async function keepStandardInput(
  input: NodeJS.ReadableStream,
  stateDir: string,
  nowMs: number,
  signal: AbortSignal,
): Promise<KeptInput> {
  await removeLeft(stateDir, nowMs);
  const directory = await mkdtemp(join(stateDir, prefix));
  const remove = async () => rm(directory, { recursive: true, force: true });
  try {
    const coming = join(directory, 'dump');
    await pipeline(input, createWriteStream(coming, { mode: 0o600 }), { signal });
    const path = `${coming}${(await isGzip(coming)) ? '.sql.gz' : '.sql'}`;
    await rename(coming, path);
    return { path, remove };
  } catch (error) {
    await remove();
    throw signal.aborted ? signal.reason : error;
  }
}

async function isGzip(path: string): Promise<boolean> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(2), 0, 2, 0);
    return bytesRead === 2 && buffer.equals(Buffer.of(0x1f, 0x8b));
  } finally {
    await file.close();
  }
}

async function removeLeft(stateDir: string, nowMs: number): Promise<void> {
  for (const name of (await readdir(stateDir)).filter((each) => each.startsWith(prefix))) {
    const directory = join(stateDir, name);
    const { mtimeMs } = await stat(directory);
    if (mtimeMs < nowMs - leftAfterMs) await rm(directory, { recursive: true, force: true });
  }
}
