import { makeOwnDirectory } from '@strideiq/sqlite';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { AgentError } from '../errors.ts';

const credentialSchema = z.object({
  /** Of the control plane that gave it. */
  url: z.string(),
  agentId: z.string(),
  environment: z.string(),
  /** A secret: whoever has it speaks for this host. */
  credential: z.string().min(1),
});

/** What this host got when it enrolled. */
export type Credential = z.infer<typeof credentialSchema>;

function fileIn(stateDir: string): string {
  return join(stateDir, 'credential.json');
}

/** Whether this host has ever enrolled, and not been taken out again. */
export function isEnrolled(stateDir: string): boolean {
  return existsSync(fileIn(stateDir));
}

/** Changes whenever the host enrols anew; undefined where it has not. */
export function credentialVersion(stateDir: string): string | undefined {
  try {
    const { mtimeMs, ino, size } = statSync(fileIn(stateDir));
    return `${mtimeMs} ${ino} ${size}`;
  } catch {
    return undefined;
  }
}

/**
 * The credential of this host; undefined where it has none.
 * @param secrets gets it, so that it is never printed
 * @throws AgentError `StateUnusable` where the file is there and cannot be used
 */
export function loadCredential(stateDir: string, secrets: Set<string>): Credential | undefined {
  const file = fileIn(stateDir);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unusable(file, (cause as Error).message, cause);
  }
  const parsed = credentialSchema.safeParse(parseJson(text));
  if (!parsed.success) throw unusable(file, 'it holds no credential');
  secrets.add(parsed.data.credential);
  return parsed.data;
}

/**
 * Keeps a credential, in place of the one before: at every moment there is a whole one or none.
 * @throws AgentError `StateUnusable`
 */
export function saveCredential(stateDir: string, credential: Credential): void {
  const file = fileIn(stateDir);
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  try {
    makeOwnDirectory(stateDir);
    writeFileSync(draft, `${JSON.stringify(credential, undefined, 2)}\n`, { mode: 0o600, flush: true });
    renameSync(draft, file);
  } catch (cause) {
    rmSync(draft, { force: true });
    throw unusable(file, (cause as Error).message, cause);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function unusable(file: string, why: string, cause?: unknown): AgentError {
  return new AgentError(
    'StateUnusable',
    `The credential ${file} cannot be used: ${why}.`,
    'Mend its permissions (0600, owned by the agent’s user), or enrol this host again with a new token.',
    { cause },
  );
}
