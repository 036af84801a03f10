import { Command as CommanderCommand } from 'commander';
import { parseArguments } from '@strideiq/terminal';
import { addCommands, type Handlers } from './command-tree.ts';
import { runAlone, runCommand } from './run-command.ts';
import { cliVersion } from './version.ts';

const afterHelp = `
A database is named environment/name, or name where that is unique, or by its id; an agent by its hostname or id; a
backup by its id, by its object (running_app_20260111_030000), or as latest with --database.
STRIDEIQ_URL and STRIDEIQ_KEY stand in for a login; STRIDEIQ_CONTEXT chooses among several.
Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 nothing found, 130 interrupted.`;

/**
 * Runs the program.
 * @param argv without node and script
 * @returns the exit code
 */
export async function runProgram(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  let exitCode = 0;
  const program = buildProgram({
    alone: async (options, work) => {
      exitCode = await runAlone(options, env, work);
    },
    asking: async (options, work) => {
      exitCode = await runCommand(options, env, work);
    },
  });
  return (await parseArguments(program, argv)) ?? exitCode;
}

/** The whole tree of commands, whatever they do: what `completion` reads too. */
export function buildProgram(handlers: Handlers): CommanderCommand {
  const program = new CommanderCommand('strideiq')
    .description('Sees and steers the backups of every environment, from anywhere.')
    .version(cliVersion)
    .exitOverride()
    .showHelpAfterError('(--help shows what there is)')
    .addHelpText('after', afterHelp);
  addCommands(program, handlers);
  return program;
}
