import type { Output } from '@strideiq/terminal';
import type { Command } from 'commander';
import { bashScript } from './bash.ts';
import { commandsOf } from './commands-of.ts';
import { fishScript } from './fish.ts';
import { zshScript } from './zsh.ts';

const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript };

export const shells = Object.keys(scripts);

/** `completion SHELL`: the script that completes commands, options and fixed values, made from the program's own tree. */
export async function completion(output: Output, program: Command, shell: string): Promise<number> {
  const script = scripts[shell as keyof typeof scripts](program.name(), commandsOf(program));
  output.result({ shell, script }, script);
  return 0;
}
