import type { CompletedCommand } from './commands-of.ts';

/** `strideiq completion fish > ~/.config/fish/completions/strideiq.fish` */
export function fishScript(program: string, commands: readonly CompletedCommand[]): string {
  const complete = (condition: string, rest: string) => `complete -c ${program} -n '${condition}' ${rest}`;
  const lines = commands.flatMap((command) => {
    const here = conditionOf(command);
    return [
      ...command.commands.map(({ name, description }) =>
        complete(
          `${here}; and not __fish_seen_subcommand_from ${command.commands.map((each) => each.name).join(' ')}`,
          `-a ${name} -d ${quoted(description)}`,
        ),
      ),
      ...(command.values.length > 0 ? [complete(here, `-a ${quoted(command.values.join(' '))}`)] : []),
      ...command.options.map(({ name, description, values }) => {
        const takes =
          values === undefined
            ? ''
            : values === 'file'
              ? ' -r -F'
              : values === 'any'
                ? ' -x'
                : ` -x -a ${quoted(values.join(' '))}`;
        return complete(here, `-l ${name.replace(/^--/, '')}${takes} -d ${quoted(description)}`);
      }),
    ];
  });
  return [
    `# fish completion of ${program}: ${program} completion fish > ~/.config/fish/completions/${program}.fish`,
    `complete -c ${program} -f`,
    ...lines,
  ].join('\n');
}

/** Whether the words so far lead to this command. */
function conditionOf({ path }: CompletedCommand): string {
  if (path.length === 0) return 'true';
  return path.map((word) => `__fish_seen_subcommand_from ${word}`).join('; and ');
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
