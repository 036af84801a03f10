import { CommanderError, type Command } from 'commander';

/**
 * Runs the command that the arguments name.
 * @param program whose commands all have `exitOverride`
 * @returns the exit code where there was none to run: 0 for help and version, 2 for arguments that are wrong, which
 *   commander has told people of; with --json, programs are told too
 * @throws what the command throws
 */
export async function parseArguments(program: Command, argv: readonly string[]): Promise<0 | 2 | undefined> {
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return undefined;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return 0;
    if (argv.includes('--json')) printUsageError(error.message);
    return 2;
  }
}

function printUsageError(said: string): void {
  const message = said === '(outputHelp)' ? 'A command is missing.' : said.replace(/^error: /, '');
  process.stdout.write(`${JSON.stringify({ error: { code: 'UsageInvalid', message } }, undefined, 2)}\n`);
}
