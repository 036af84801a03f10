import { readFile } from 'node:fs/promises';
import { ConfigurationError, ConfigurationInvalid, type Problem } from './errors.ts';
import { keyOf, problemsOf, type FileForm, type UnplacedProblem } from './problems.ts';
import { YamlFile } from './yaml-file.ts';

/**
 * Checks the text of a configuration; `file` is only its name.
 * @param crossChecks what keys have to say together, from the document as it was read: told in one go with the rest
 * @throws ConfigurationInvalid with every problem, in the order of the file
 */
export function parseFile(
  text: string,
  file: string,
  form: FileForm,
  crossChecks: (document: unknown) => UnplacedProblem[],
): unknown {
  const yaml = new YamlFile(text);
  if (yaml.problems.length > 0 && yaml.value === undefined) throw new ConfigurationInvalid(file, yaml.problems);
  if (yaml.value === null || typeof yaml.value !== 'object' || Array.isArray(yaml.value)) {
    throw new ConfigurationInvalid(file, [
      { line: 1, column: 1, key: '', what: 'holds no keys', cure: 'Begin with version: 1.' },
    ]);
  }
  const result = form.schema.safeParse(yaml.value);
  const unplaced = [...problemsOf(result.error?.issues ?? [], yaml.value, form), ...crossChecks(yaml.value)];
  const problems = [...yaml.problems, ...merged(unplaced).map((each) => placed(each, yaml))];
  if (problems.length > 0) throw new ConfigurationInvalid(file, problems.toSorted(byPlace));
  if (!result.success) throw result.error;
  return result.data;
}

/**
 * Reads a configuration's text.
 * @param cure what to do where there is none
 * @throws ConfigurationError `ConfigurationMissing`, `ConfigurationUnreadable`
 */
export async function readConfigurationFile(file: string, cure: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') {
      throw new ConfigurationError('ConfigurationMissing', `There is no configuration file ${file}.`, cure, { cause });
    }
    const why = code === 'EISDIR' ? 'it is a directory' : (cause as Error).message;
    throw new ConfigurationError(
      'ConfigurationUnreadable',
      `The configuration file ${file} cannot be read: ${why}.`,
      code === 'EACCES'
        ? 'Let this user read it (chown or chmod), or run as the user who owns it.'
        : 'Name another by --config FILE.',
      { cause },
    );
  }
}

/** One line for each key: a cross-check that knows a cure adds it to what the schema said of the same key. */
function merged(problems: readonly UnplacedProblem[]): UnplacedProblem[] {
  const byKey = new Map<string, UnplacedProblem>();
  for (const problem of problems) {
    const key = keyOf(problem.path);
    const before = byKey.get(key);
    byKey.set(
      key,
      before === undefined ? problem : { ...before, cure: before.cure === '' ? problem.cure : before.cure },
    );
  }
  return [...byKey.values()];
}

function placed({ path, what, cure }: UnplacedProblem, yaml: YamlFile): Problem {
  return { ...yaml.placeOf(path), key: keyOf(path), what, cure };
}

function byPlace(a: Problem, b: Problem): number {
  return (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0);
}
