import { CliError } from '../errors.ts';

/** More would fill the screen. */
const mostNamed = 8;

interface Meant<Thing> {
  /** What goes by this name. */
  meant: readonly Thing[];
  /** What there is, to choose from; empty where that would be too much. */
  all: readonly Thing[];
  /** How each is named without doubt. */
  named: (thing: Thing) => string;
  /** The command that lists them. */
  list: string;
}

/**
 * The one thing that a name means.
 * @param kind in the words of people: `database`
 * @throws CliError `NotFound`, `NameAmbiguous`
 */
export function theOne<Thing>(kind: string, reference: string, { meant, all, named, list }: Meant<Thing>): Thing {
  const [first, second] = meant;
  if (first !== undefined && second === undefined) return first;
  if (first === undefined) {
    throw new CliError(
      'NotFound',
      `There is no ${kind} ${JSON.stringify(reference)} that this key may see.`,
      all.length === 0 ? `${list} shows what there is.` : `There are: ${some(all.map(named))}.`,
    );
  }
  throw new CliError(
    'NameAmbiguous',
    `${JSON.stringify(reference)} can mean several: ${some(meant.map(named))}.`,
    'Name it as one of these.',
  );
}

function some(names: readonly string[]): string {
  const shown = [...names].sort().slice(0, mostNamed);
  return names.length > shown.length ? `${shown.join(', ')} and ${names.length - shown.length} more` : shown.join(', ');
}
