import type { Argument, Command, Option } from 'commander';

/** What can follow an option: one of these, a file, or anything. Undefined where nothing follows. */
export type Values = readonly string[] | 'file' | 'any';

export interface CompletedOption {
  /** `--json` */
  name: string;
  description: string;
  values: Values | undefined;
}

/** One command as a shell sees it. */
export interface CompletedCommand {
  /** The words that lead to it: `keys create`; empty for the program itself. */
  path: readonly string[];
  description: string;
  commands: readonly { name: string; description: string }[];
  options: readonly CompletedOption[];
  /** What its arguments can be, where that is fixed. */
  values: readonly string[];
}

/** Commander's tree as a list, each command before those below it. */
export function commandsOf(command: Command, path: readonly string[] = []): CompletedCommand[] {
  const help = { name: '--help', description: 'display help for command', values: undefined };
  const below = [...command.commands];
  const own: CompletedCommand = {
    path,
    description: command.description(),
    commands: below.map((each) => ({ name: each.name(), description: each.description() })),
    options: [...command.options.filter(({ hidden }) => !hidden).map(optionOf), help],
    values: command.registeredArguments.flatMap(({ argChoices = [] }: Argument) => argChoices),
  };
  return [own, ...below.flatMap((each) => commandsOf(each, [...path, each.name()]))];
}

function optionOf({ long, short, description, argChoices, flags, required, optional }: Option): CompletedOption {
  const takes = required || optional;
  const values = argChoices ?? (/<file>/.test(flags) ? 'file' : 'any');
  return { name: long ?? short ?? '', description, values: takes ? values : undefined };
}
