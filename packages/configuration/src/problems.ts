import type { z } from 'zod';
import type { Problem } from './errors.ts';
import { knownKeys, type JsonSchema } from './json-schema.ts';
import { didYouMean } from './nearest.ts';

/** A problem whose place in the file is not looked up yet. */
export interface UnplacedProblem extends Pick<Problem, 'what' | 'cure'> {
  path: readonly PropertyKey[];
}

type Issue = z.core.$ZodIssue;

/** What a program's file may hold. */
export interface FileForm {
  schema: z.ZodType;
  /** Of that schema, for what it knows where. */
  jsonSchema: JsonSchema;
  /** How a secret is given instead, for every key that people try to put one in: lower case, without dashes. */
  secretKeys: Readonly<Record<string, string>>;
}

const typeWords: Record<string, string> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping of keys',
  record: 'a mapping of keys',
};

/** All that zod found, told as a person would; `value` is the document as read. */
export function problemsOf(issues: readonly Issue[], value: unknown, form: FileForm): UnplacedProblem[] {
  return issues.flatMap((issue) => problemsOfIssue(issue, [], value, form));
}

function problemsOfIssue(
  issue: Issue,
  base: readonly PropertyKey[],
  value: unknown,
  form: FileForm,
): UnplacedProblem[] {
  const path = [...base, ...issue.path];
  const found = valueAt(value, path);
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownKey(path, key, value, form));
    case 'invalid_key':
      return [
        { path, what: `is no name that can be used: it ${issue.issues[0]?.message ?? 'is not right'}`, cure: '' },
      ];
    case 'invalid_union':
      return problemsOfUnion(issue, path, value, form);
    case 'invalid_value':
      return [{ path, ...oneOf(issue.values.map(String), found, issue.message) }];
    case 'invalid_type':
      return [{ path, ...wrongType(typeWords[issue.expected] ?? issue.expected, found, issue.message) }];
    case 'too_small':
    case 'too_big': {
      const bound = issue.code === 'too_small' ? `at least ${issue.minimum}` : `at most ${issue.maximum}`;
      return [{ path, what: isDefault(issue.message) ? `must be ${bound}` : issue.message, cure: '' }];
    }
    case 'invalid_format':
    case 'invalid_element':
    case 'not_multiple_of':
    case 'custom':
  }
  return [{ path, what: issue.message, cure: '' }];
}

function problemsOfUnion(
  issue: Extract<Issue, { code: 'invalid_union' }>,
  path: readonly PropertyKey[],
  value: unknown,
  form: FileForm,
): UnplacedProblem[] {
  const found = valueAt(value, path);
  if (issue.discriminator !== undefined) {
    const options = 'options' in issue && Array.isArray(issue.options) ? issue.options.map(String) : [];
    return [{ path, ...oneOf(options, found, issue.message) }];
  }
  if (found === undefined || found === null) return [{ path, ...wrongType('', found, issue.message) }];
  // The form that was meant is the one whose outer type fits.
  const meant = issue.errors.find(
    (branch) => !branch.some((each) => each.path.length === 0 && each.code === 'invalid_type'),
  );
  if (meant && isDefault(issue.message)) return meant.flatMap((each) => problemsOfIssue(each, path, value, form));
  if (!isDefault(issue.message)) return [{ path, what: issue.message, cure: '' }];
  const expected = issue.errors.flatMap((branch) =>
    branch.flatMap((each) => ('expected' in each ? [each.expected] : [])),
  );
  return [{ path, ...wrongType(expected.map((type) => typeWords[type] ?? type).join(' or '), found, issue.message) }];
}

function unknownKey(
  path: readonly PropertyKey[],
  key: string,
  value: unknown,
  { jsonSchema, secretKeys }: FileForm,
): UnplacedProblem {
  const secret = secretKeys[key.toLowerCase().replaceAll(/[-_]/g, '')];
  if (secret !== undefined) {
    return {
      path: [...path, key],
      what: 'is a secret, and secrets do not stand in this file',
      cure: `Use ${secret}, and change the secret if others could read this file.`,
    };
  }
  const known = knownKeys(jsonSchema, path, value);
  const hint = didYouMean(key, known);
  const list = known.length === 0 ? '' : `Known here: ${known.join(', ')}.`;
  return { path: [...path, key], what: 'is no key that is known here', cure: hint === '' ? list : hint };
}

function oneOf(options: readonly string[], found: unknown, message: string): Pick<Problem, 'what' | 'cure'> {
  const list = options.join(', ');
  if (found === undefined)
    return { what: 'is missing', cure: options.length === 1 ? `It must be ${list}.` : `It must be one of ${list}.` };
  if (!isDefault(message)) return { what: message, cure: '' };
  const cure = typeof found === 'string' ? didYouMean(found, options) : '';
  return { what: `must be one of ${list}`, cure };
}

function wrongType(expected: string, found: unknown, message: string): Pick<Problem, 'what' | 'cure'> {
  if (found === undefined) return { what: 'is missing', cure: isDefault(message) ? '' : `It ${message}.` };
  if (found === null) return { what: 'is empty', cure: 'Give it a value, or leave the key out.' };
  if (!isDefault(message)) return { what: message, cure: '' };
  const cure = expected === 'text' && typeof found !== 'object' ? 'Put it in quotes.' : '';
  return { what: `must be ${expected}, not ${typeOf(found)}`, cure };
}

function typeOf(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  return typeWords[typeof value] ?? typeof value;
}

/** Whether zod wrote the words itself; ours say more. */
function isDefault(message: string): boolean {
  return /^(Invalid|Too (small|big)|Unrecognized)/.test(message);
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at = value;
  for (const step of path) {
    if (at === null || typeof at !== 'object') return undefined;
    at = (at as Record<PropertyKey, unknown>)[step];
  }
  return at;
}

/** `databases.running_app.stores[1]`. */
export function keyOf(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, step) => {
    if (typeof step === 'number') return `${text}[${step}]`;
    return text === '' ? String(step) : `${text}.${String(step)}`;
  }, '');
}
