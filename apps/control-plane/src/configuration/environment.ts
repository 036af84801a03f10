import { ConfigurationInvalid, didYouMean, type Problem } from '@strideiq/configuration';
import type { z } from 'zod';
import { controlPlaneFileSchema } from './schema.ts';

/** The environment's names for keys of the file. */
export const variableOf = {
  listen: 'STRIDEIQ_LISTEN',
  dataDir: 'STRIDEIQ_DATA_DIR',
  tlsCert: 'STRIDEIQ_TLS_CERT',
  tlsKey: 'STRIDEIQ_TLS_KEY',
  allowPlainText: 'STRIDEIQ_ALLOW_PLAIN_TEXT',
  trustedProxies: 'STRIDEIQ_TRUSTED_PROXIES',
  logLevel: 'STRIDEIQ_LOG_LEVEL',
  publicUrl: 'STRIDEIQ_PUBLIC_URL',
} as const;
type Key = keyof typeof variableOf;

type File = z.output<typeof controlPlaneFileSchema>;

/** What a variable's text says in the file's own terms. */
const readText: Record<Key, (text: string) => unknown> = {
  listen: (text) => text,
  dataDir: (text) => text,
  tlsCert: (text) => text,
  tlsKey: (text) => text,
  allowPlainText: (text) => ({ true: true, '1': true, yes: true, false: false, '0': false, no: false })[text] ?? text,
  trustedProxies: (text) => text.split(',').map((each) => each.trim()),
  logLevel: (text) => text,
  publicUrl: (text) => text,
};

/**
 * What the environment says; an empty variable says nothing.
 * @throws ConfigurationInvalid with every variable that cannot be used
 */
export function readEnvironment(env: NodeJS.ProcessEnv): Partial<Pick<File, Key>> {
  const problems: Problem[] = [];
  const entries = Object.entries(variableOf).flatMap(([name, variable]) => {
    const key = name as Key;
    const text = env[variable];
    if (text === undefined || text === '') return [];
    const result = controlPlaneFileSchema.shape[key].safeParse(readText[key](text));
    if (result.success) return [[key, result.data]];
    problems.push({ key: variable, ...problemOf(key, text, result.error) });
    return [];
  });
  if (problems.length > 0) throw new ConfigurationInvalid('The environment', problems);
  return Object.fromEntries(entries) as Partial<Pick<File, Key>>;
}

function problemOf(key: Key, text: string, error: z.ZodError): Pick<Problem, 'what' | 'cure'> {
  if (key === 'allowPlainText') return { what: 'must be 1, true, 0 or false', cure: '' };
  if (key === 'logLevel') {
    const levels = ['debug', 'info', 'warn', 'error'];
    return { what: `must be one of ${levels.join(', ')}`, cure: didYouMean(text, levels) };
  }
  return { what: error.issues[0]?.message ?? 'cannot be used', cure: '' };
}
