import { parseArguments } from '@strideiq/terminal';
import { Command as CommanderCommand, InvalidArgumentError } from 'commander';
import { configurationJsonSchema } from '../configuration/index.ts';
import { agentVersion } from '../version.ts';
import { adopt } from './adopt.ts';
import { backup } from './backup.ts';
import { doctor } from './doctor.ts';
import { drill } from './drill.ts';
import { enroll } from './enroll.ts';
import { list } from './list.ts';
import { restoreDrop, restoreKept } from './restore-kept.ts';
import { restoreUndo } from './restore-undo.ts';
import { prune } from './prune.ts';
import { restore } from './restore.ts';
import { defaultConfigurationFile, runCommand, type Command, type CommonOptions } from './run-command.ts';
import { run as runDaemon } from './run.ts';
import { show } from './show.ts';
import { verify } from './verify.ts';

const exitCodes = `
Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 nothing to do or not found, 130 interrupted.
REF is a backup's id, its name (running_app_20260111_030000), a path, an s3:// URL, latest, or before:TIME
(before:2026-01-11T03:00Z): the newest whose data are older than that.
Any plain pg_dump will do for a path (.sql.gz or .sql), and \`restore -\` reads one from standard input.`;

/**
 * Runs the program.
 * @param argv without node and script
 * @returns the exit code
 */
export async function runProgram(argv: readonly string[]): Promise<number> {
  let exitCode = 0;
  const program = new CommanderCommand('strideiq-agent')
    .description('Backs up, proves and restores the PostgreSQL databases of this host.')
    .version(agentVersion)
    .exitOverride()
    // `restore` has commands of its own, whose options are named as its own are.
    .enablePositionalOptions()
    .showHelpAfterError('(--help shows what there is)')
    .addHelpText('after', exitCodes);

  /** A command with the options that all have, whose action ends in an exit code. */
  const add = (name: string, text: string, parent: CommanderCommand = program) =>
    parent
      .command(name)
      .description(text)
      .exitOverride()
      .option('--config <file>', `the host's configuration (default: ${defaultConfigurationFile})`)
      .option('--state-dir <dir>', 'where journal and key are kept')
      .option('--json', 'print one JSON document on standard output')
      .option('--quiet', 'print warnings and errors alone, for cron');
  const withoutFile = (command: CommanderCommand) =>
    command
      .option('--database-url <url>', 'instead of a configuration: postgres://user@host:port/database')
      .option('--database-url-file <file>', 'a file that holds such a URL')
      .option('--backup-dir <dir>', 'instead of a configuration: a directory for backups')
      .option('--s3 <bucket>', 'instead of a configuration: bucket or s3://bucket/prefix, with AWS_* as usual')
      .option('--environment <name>', 'name of the environment, where no configuration says it');
  const collect = (value: string, before: string[] = []) => [...before, value];
  const run = async (options: CommonOptions, work: (command: Command) => Promise<number>) => {
    exitCode = await runCommand(options, work);
  };

  withoutFile(add('backup [database]', 'make a backup now'))
    .option('--all', 'every database, one after another; one that fails holds up none of the others')
    .option('--verify', 'read every copy back when it is stored')
    .option('--store <name>', 'only into this store (may be repeated)', collect)
    .option('--jobs <n>', 'connections that read rows at once, or auto; 1 leaves everything to pg_dump', parseJobs)
    .option(
      '--retention <days>',
      'then remove backups that are older, from the same stores, where the file has no rules for them',
      parseDays,
    )
    .action(async (name: string | undefined, options) =>
      run(options, async (command) => backup(command, name, options)),
    );
  withoutFile(add('prune [database]', 'remove the backups that retention keeps no longer'))
    .option('--dry-run', 'show what would stay and what would go, and why')
    .option('--yes', 'do not ask where much would go at once')
    .action(async (name: string | undefined, options) =>
      run(options, async (command) => prune(command, name, options)),
    );
  withoutFile(add('list [database]', 'list the backups that the stores hold')).action(
    async (name: string | undefined, options) => run(options, async (command) => list(command, name)),
  );
  withoutFile(add('show <ref>', "show a backup's manifest and tables"))
    .option('--database <name>', 'whose backup, where the configuration holds several databases')
    .action(async (ref: string, options) =>
      run({ ...options, reference: ref }, async (command) => show(command, ref, options)),
    );
  withoutFile(add('verify <ref>', 'read every byte back and compare with the manifest'))
    .option('--database <name>', 'whose backup, where the configuration holds several databases')
    .option('--store <name>', 'only the copy in this store (may be repeated)', collect)
    .action(async (ref: string, options) =>
      run({ ...options, reference: ref }, async (command) => verify(command, ref, options)),
    );
  withoutFile(
    add('adopt [name]', "take a dump that no agent made into this host's care: read it back, and write its manifest"),
  )
    .option('--all', 'every dump of the database that has no manifest')
    .option('--database <name>', 'whose dump, where the configuration holds several databases')
    .action(async (name: string | undefined, options) =>
      run(options, async (command) => adopt(command, name, options)),
    );
  const restoring = withoutFile(
    add('restore <ref>', 'restore into a new database, or in the place of one, and compare rows and objects'),
  )
    .enablePositionalOptions()
    .option('--into <name>', 'name of the new database')
    .option('--in-place', 'replace the database as a whole, and keep the one that was there under another name')
    .option('--into-schema <name>', 'with --table: into a new schema of the live database, columns and rows alone')
    .option('--replace-rows', 'with --table: replace the rows of the live tables, in one transaction')
    .option('--no-safety-backup', 'with --in-place and --replace-rows: make no backup of the database before')
    .option('--accept-excluded', 'with --in-place: also where the backup was told to leave out rows that are there now')
    .option('--yes', 'with --in-place and --replace-rows: do not ask')
    .option('--dry-run', 'say what would happen, and do nothing')
    .option('--database <name>', 'whose backup, where the configuration holds several databases')
    .option(
      '--trust-source',
      'run the SQL of a dump whose manifest this host cannot trust, never with superuser rights',
    )
    .option(
      '--table <schema.name>',
      'all definitions, but the rows and indexes of this table alone (may be repeated)',
      collect,
    )
    .option('--rows-only', 'with --table: without indexes, keys and triggers')
    .option('--schema-only', 'all definitions, and no rows')
    .option('--jobs <n>', 'sessions that load at the same time (default: auto, one per processor, 2 to 8)', parseJobs)
    .option('--no-analyze', "leave the planner's statistics to autovacuum, where nobody will query soon")
    .option(
      '--toast-compression <method>',
      'pglz or lz4: how long values are stored in the new database, whatever the server does by itself (lz4 is faster)',
    )
    .action(async (ref: string, options) =>
      run({ ...options, reference: ref }, async (command) => restore(command, ref, options)),
    );
  withoutFile(add('undo [database]', 'take the newest restore in place back', restoring))
    .option('--yes', 'do not ask')
    .action(async (name: string | undefined, options) =>
      run(options, async (command) => restoreUndo(command, name, options)),
    );
  withoutFile(add('kept [database]', 'list the databases that restores in place have replaced', restoring)).action(
    async (name: string | undefined, options) => run(options, async (command) => restoreKept(command, name)),
  );
  withoutFile(add('drop <name>', 'drop one of those for good', restoring))
    .option('--database <name>', 'of which database, where the configuration holds several')
    .option('--yes', 'do not ask')
    .action(async (name: string, options) => run(options, async (command) => restoreDrop(command, name, options)));
  withoutFile(add('drill [database]', 'test restore: into a scratch database, compare, ask your assertions, drop'))
    .option('--backup <ref>', 'this backup (default: latest)')
    .option('--via <name>', 'on the server of this database of the configuration')
    .option('--jobs <n>', 'sessions that load at the same time (default: auto)', parseJobs)
    .option(
      '--trust-source',
      'run the SQL of a backup whose manifest this host cannot trust, never with superuser rights',
    )
    .option('--toast-compression <method>', 'pglz or lz4; a drill with other storage than production’s is no RTO')
    .action(async (name: string | undefined, options) =>
      run(options, async (command) => drill(command, name, options)),
    );
  add('run', 'the daemon: take commands from the control plane, and report to it').action(async (options) =>
    run({ ...options, saysEvents: true, findsDatabases: true }, async (command) => runDaemon(command, options)),
  );
  add('enroll', "trade a one-time token for this host's own credential")
    .option('--url <url>', 'address of the control plane')
    .option('--token <token>', 'made by `strideiq enroll-token`, good once and for 15 minutes')
    .action(async (options) => run({ ...options, findsDatabases: true }, async (command) => enroll(command, options)));
  withoutFile(add('doctor [database]', 'look whether everything is as backups need it')).action(
    async (name: string | undefined, options) =>
      run({ ...options, findsDatabases: true }, async (command) => doctor(command, name)),
  );
  const config = program.command('config').description('about the configuration file').exitOverride();
  config
    .command('schema')
    .description('print the JSON Schema of the configuration file')
    .exitOverride()
    .option('--json', 'as it is anyway')
    .action(() => {
      process.stdout.write(`${JSON.stringify(configurationJsonSchema(), undefined, 2)}\n`);
    });

  return (await parseArguments(program, argv)) ?? exitCode;
}

function parseDays(text: string): number {
  const days = Number(text);
  if (Number.isInteger(days) && days >= 1 && days <= 36_500) return days;
  throw new InvalidArgumentError('It must be a whole number of days, 1 or more.');
}

/** How many at once, as `dump.jobs` in the configuration says it too. */
function parseJobs(text: string): 'auto' | number {
  if (text === 'auto') return text;
  const jobs = Number(text);
  if (Number.isInteger(jobs) && jobs >= 1 && jobs <= 64) return jobs;
  throw new InvalidArgumentError('It must be auto or a whole number from 1 to 64.');
}
