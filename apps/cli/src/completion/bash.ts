import type { CompletedCommand } from './commands-of.ts';

/** Works without the bash-completion package: `source <(strideiq completion bash)`. */
export function bashScript(program: string, commands: readonly CompletedCommand[]): string {
  const name = `_${program.replaceAll(/\W/g, '_')}`;
  const taking = [
    ...new Set(commands.flatMap(({ options }) => options).flatMap((each) => (each.values ? [each.name] : []))),
  ];
  return `# bash completion of ${program}. In ~/.bashrc: source <(${program} completion bash)
${name}() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" path="" word skip="" at
  for ((at = 1; at < COMP_CWORD; at++)); do
    word="\${COMP_WORDS[at]}"
    if [[ -n $skip ]]; then skip=""; continue; fi
    case "$word" in
      ${taking.join('|')}) skip=1 ;;
      -*) ;;
      *)
        case "$path $word" in
${commands
  .filter(({ path }) => path.length > 0)
  .map(({ path }) => `          "${[...pathBefore(path), path.at(-1)].join(' ')}") path="${whole(path)}" ;;`)
  .join('\n')}
        esac ;;
    esac
  done
  COMPREPLY=()
  case "$path $previous" in
${commands.flatMap(valueCases).join('\n')}
  esac
  case "$path" in
${commands.map((each) => `    "${whole(each.path)}") COMPREPLY=($(compgen -W "${candidates(each)}" -- "$current")) ;;`).join('\n')}
  esac
}
complete -F ${name} ${program}`;
}

/** As the script keeps the way to a command: ` keys create`, with a space before each word. */
function whole(path: readonly string[]): string {
  return path.map((word) => ` ${word}`).join('');
}

function pathBefore(path: readonly string[]): string[] {
  return [whole(path.slice(0, -1))];
}

function valueCases({ path, options }: CompletedCommand): string[] {
  return options.flatMap(({ name, values }) => {
    if (values === undefined) return [];
    const reply =
      values === 'file'
        ? String.raw`local IFS=$'\n'; COMPREPLY=($(compgen -f -- "$current")); compopt -o filenames 2>/dev/null`
        : values === 'any'
          ? ':'
          : `COMPREPLY=($(compgen -W "${values.join(' ')}" -- "$current"))`;
    return [`    "${whole(path)} ${name}") ${reply}; return ;;`];
  });
}

function candidates({ commands, options, values }: CompletedCommand): string {
  return [...commands.map(({ name }) => name), ...values, ...options.map(({ name }) => name)].join(' ');
}
