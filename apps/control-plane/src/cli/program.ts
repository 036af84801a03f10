import { Command as CommanderCommand, Option } from 'commander';
import { parseArguments } from '@strideiq/terminal';
import { roles, type Role } from '../catalog/schema.ts';
import { configurationJsonSchema } from '../configuration/index.ts';
import { controlPlaneVersion } from '../version.ts';
import { backup, restore } from './catalog.ts';
import { enrollToken } from './enroll-token.ts';
import { createKey, listKeys, revokeKey, type NewKeyOptions } from './keys.ts';
import { runCommand, type Command, type CommonOptions } from './run-command.ts';

const afterHelp = `
Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 not found, 130 interrupted.
keys, enroll-token and catalog backup work on the data directory itself, with the server running or not.`;

/**
 * Runs the program.
 * @param argv without node and script
 * @returns the exit code
 */
export async function runProgram(argv: readonly string[]): Promise<number> {
  let exitCode = 0;
  const program = new CommanderCommand('strideiq-control-plane')
    .description('One place that knows every environment: what was backed up, and who may restore it.')
    .version(controlPlaneVersion)
    .exitOverride()
    .showHelpAfterError('(--help shows what there is)')
    .addHelpText('after', afterHelp);
  const run: Run = async (options, work) => {
    exitCode = await runCommand(options, work);
  };

  /** A command with the options that all have. */
  const add = (parent: CommanderCommand, name: string, text: string) =>
    parent
      .command(name)
      .description(text)
      .exitOverride()
      .option('--config <file>', 'the configuration; STRIDEIQ_… variables have the last word')
      .option('--data-dir <dir>', 'where the catalog is (default: STRIDEIQ_DATA_DIR)')
      .option('--json', 'print one JSON document on standard output');
  const group = (name: string, text: string) => program.command(name).description(text).exitOverride();

  add(program, 'serve', 'take requests and agents, until it is stopped').action(async (options: CommonOptions) =>
    // With Fastify and all that: the other commands are not kept waiting for it.
    run(options, async (command) => (await import('./serve.ts')).serve(command)),
  );
  add(program, 'enroll-token', 'make a one-time token by which a host enrols')
    .requiredOption('--environment <name>', 'the environment that the host belongs to; the first token makes it')
    .action(async (options: CommonOptions & { environment: string }) =>
      run(options, (command) => enrollToken(command, options.environment)),
    );

  addKeyCommands(group('keys', 'API keys'), add, run);
  const catalog = group('catalog', 'the catalog as a file');
  add(catalog, 'backup <file>', 'write the catalog as it is now into a file').action(
    async (file: string, options: CommonOptions) => run(options, (command) => backup(command, file)),
  );
  add(catalog, 'restore <file>', 'put the catalog back from a file; the one that was there stays beside it').action(
    async (file: string, options: CommonOptions) => run(options, async (command) => restore(command, file)),
  );
  group('config', 'about the configuration file')
    .command('schema')
    .description('print the JSON Schema of the configuration file')
    .exitOverride()
    .option('--json', 'as it is anyway')
    .action(() => {
      process.stdout.write(`${JSON.stringify(configurationJsonSchema(), undefined, 2)}\n`);
    });

  return (await parseArguments(program, argv)) ?? exitCode;
}

type Add = (parent: CommanderCommand, name: string, text: string) => CommanderCommand;
type Run = (options: CommonOptions, work: (command: Command) => Promise<number> | number) => Promise<void>;

function addKeyCommands(keys: CommanderCommand, add: Add, run: Run): void {
  const collect = (value: string, before: string[] = []) => [...before, value];
  add(keys, 'create', 'make an API key, which is shown this once')
    .requiredOption('--name <name>', 'what it is for, or whose it is')
    .addOption(new Option('--role <role>', 'what it may do').choices(roles).makeOptionMandatory())
    .option('--environment <name>', 'only for this environment (may be repeated)', collect)
    .option('--all-environments', 'for every environment, also those to come')
    .option('--expires <when>', 'a duration, such as 90d, or a moment, such as 2027-01-31T00:00:00Z')
    .action(async (options: CommonOptions & NewKeyOptions & { role: Role }) =>
      run(options, (command) => createKey(command, options)),
    );
  add(keys, 'list', 'list the API keys').action(async (options: CommonOptions) => run(options, listKeys));
  add(keys, 'revoke <id>', 'take an API key out of use, at once').action(async (id: string, options: CommonOptions) =>
    run(options, (command) => revokeKey(command, id)),
  );
}
