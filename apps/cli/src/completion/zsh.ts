import type { CompletedCommand, CompletedOption } from './commands-of.ts';

/** For a directory of `$fpath`, as `_strideiq`, or `source <(strideiq completion zsh)` after compinit. */
export function zshScript(program: string, commands: readonly CompletedCommand[]): string {
  const functionOf = ({ path }: CompletedCommand) => ['', program, ...path].join('_').replaceAll(/[^\w]/g, '_');
  const own = commands.map((command) => {
    const lines = command.options.map((option) => `    ${quoted(optionSpec(option))} \\`);
    if (command.commands.length === 0) {
      const values = command.values.length > 0 ? `(${command.values.join(' ')})` : '';
      return `${functionOf(command)}() {\n  _arguments \\\n${lines.join('\n')}\n    ${quoted(`*:argument:${values}`)}\n}`;
    }
    const named = command.commands.map(({ name, description }) => `    ${quoted(`${name}:${description}`)}`);
    const cases = command.commands.map(
      ({ name }) => `    ${name}) ${functionOf({ ...command, path: [...command.path, name] })} ;;`,
    );
    return `${functionOf(command)}() {
  local -a commands
  local context state line
  _arguments -C \\
${lines.join('\n')}
    '1:command:->command' \\
    '*::argument:->argument'
  case $state in
  command)
    commands=(
${named.join('\n')}
    )
    _describe command commands ;;
  argument)
    case $line[1] in
${cases.join('\n')}
    esac ;;
  esac
}`;
  });
  const main = `_${program.replaceAll(/\W/g, '_')}`;
  return `#compdef ${program}
# zsh completion of ${program}. In ~/.zshrc, after compinit: source <(${program} completion zsh)
${own.join('\n')}
if [ "$funcstack[1]" = "${main}" ]; then ${main} "$@"; else compdef ${main} ${program}; fi`;
}

function optionSpec({ name, description, values }: CompletedOption): string {
  const text = `${name}[${escaped(description)}]`;
  if (values === undefined) return text;
  if (values === 'file') return `${text}:file:_files`;
  return `${text}:value:${values === 'any' ? ' ' : `(${values.join(' ')})`}`;
}

/** Brackets and colons end a part of a specification. */
function escaped(text: string): string {
  return text.replaceAll(/[[\]:]/g, String.raw`\$&`);
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
