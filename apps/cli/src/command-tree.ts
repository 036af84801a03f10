import { InvalidArgumentError, Option, Argument, type Command as CommanderCommand } from 'commander';
import { contexts } from './access/contexts.ts';
import { login } from './access/login.ts';
import { logout } from './access/logout.ts';
import { agents } from './agents/list.ts';
import { acknowledgeAlert, silenceAlert, unsilenceAlert } from './alerts/change.ts';
import { alerts } from './alerts/list.ts';
import { audit } from './audit/audit.ts';
import { backup } from './backups/backup.ts';
import { backups } from './backups/list.ts';
import { pin, unpin } from './backups/pin.ts';
import { verify } from './backups/verify.ts';
import { channels, deliveries, testChannel } from './channels/channels.ts';
import { completion, shells } from './completion/completion.ts';
import { databases } from './databases/list.ts';
import { drift } from './drift/drift.ts';
import { enrollToken } from './enrolment/enroll-token.ts';
import { environments } from './environments/list.ts';
import { drill } from './drills/drill.ts';
import { createKey } from './keys/create.ts';
import { listKeys } from './keys/list.ts';
import { revokeKey } from './keys/revoke.ts';
import { objectives } from './objectives/objectives.ts';
import { pausePolicy, resumePolicy, setPolicy } from './policies/change.ts';
import { policyHistory, showPolicy } from './policies/show.ts';
import { restore } from './restores/restore.ts';
import { carryOutRetention } from './retention/carry-out.ts';
import { previewRetention } from './retention/preview.ts';
import type { Command, CommonOptions, Surroundings } from './run-command.ts';
import { cancel } from './runs/cancel.ts';
import { runs } from './runs/runs.ts';
import { runStateNames } from './runs/states.ts';

/** What the commands' actions are run by. */
export interface Handlers {
  /** Asks no control plane by itself. */
  alone: (options: CommonOptions, work: (surroundings: Surroundings) => Promise<number>) => Promise<void>;
  asking: (options: CommonOptions, work: (command: Command) => Promise<number>) => Promise<void>;
}

const roles = ['viewer', 'operator', 'admin'];

export function addCommands(program: CommanderCommand, handlers: Handlers): void {
  addAccess(program, handlers);
  addLists(program, handlers);
  addWork(program, handlers);
  addKeeping(program, handlers);
  addAlerts(program, handlers);
  addAdministration(program, handlers);
  json(program.command('completion').description('print the completion script of a shell'))
    .addArgument(new Argument('<shell>', 'the shell').choices(shells))
    .exitOverride()
    .action(async (shell: string, options) =>
      handlers.alone(options, async ({ output }) => completion(output, program, shell)),
    );
}

function addAccess(program: CommanderCommand, { alone }: Handlers): void {
  json(program.command('login').description('check an API key and keep it for this user'))
    .option('--url <url>', 'the control plane: https://backup.example.com (default: STRIDEIQ_URL)')
    .option(
      '--key-file <file>',
      'a file that holds the key, - for standard input (default: STRIDEIQ_KEY, or a question)',
    )
    .option('--context <name>', 'keep it by this name (default: the host of the URL)')
    .option('--ca <file>', 'a certificate authority of your own, PEM')
    .option('--allow-plain-text', 'let the key cross a network unencrypted')
    .action(async (options) => alone(options, async (surroundings) => login(surroundings, options)));
  json(program.command('logout').description('forget a key that login has kept'))
    .option('--context <name>', 'which (default: the current one)')
    .action(async (options) => alone(options, async (surroundings) => logout(surroundings, options)));
  json(program.command('contexts').description('show what login has kept, or choose what is meant from now on'))
    .argument('[name]', 'the context that is meant from now on')
    .action(async (name: string | undefined, options) =>
      alone(options, async (surroundings) => contexts(surroundings, name)),
    );
}

function addLists(program: CommanderCommand, { asking }: Handlers): void {
  connected(program.command('environments').description('list the environments')).action(async (options) =>
    asking(options, environments),
  );
  const inEnvironment = (command: CommanderCommand) =>
    connected(command).option('--environment <name>', 'only those of this environment');
  inEnvironment(program.command('agents').description('list the agents and whether they are connected')).action(
    async (options) => asking(options, async (command) => agents(command, options)),
  );
  inEnvironment(program.command('databases').description('list the databases and their last backups')).action(
    async (options) => asking(options, async (command) => databases(command, options)),
  );
  paged(inEnvironment(program.command('backups').description('list the backups and their copies, the newest first')))
    .argument('[database]', 'only those of this database')
    .action(async (database: string | undefined, options) =>
      asking(options, async (command) => backups(command, database, limited(options))),
    );
  paged(inEnvironment(program.command('runs').description('list what agents did and do, or show one run')))
    .argument('[run]', 'the id of a run: all about it')
    .option('--follow', 'go on telling what changes; of one run, until it has ended')
    .option('--database <database>', 'only those of this database')
    .option('--agent <agent>', 'only those on this agent')
    .option('--kind <kind>', 'only backup, restore, verify …')
    .addOption(new Option('--state <state>', 'only those in this state').choices(runStateNames))
    .action(async (run: string | undefined, options) =>
      asking(options, async (command) => runs(command, run, limited(options))),
    );
}

function addWork(program: CommanderCommand, { asking }: Handlers): void {
  const work = (command: CommanderCommand) =>
    connected(command)
      .option('--watch', 'follow the run to its end; exit 1 if it fails')
      .option('--quiet', 'print warnings and errors alone');
  const store = ['--store <name>', 'only the copy in this store (may be repeated)', collect] as const;
  work(program.command('backup <database>').description('make a backup now'))
    .option(...store)
    .action(async (database: string, options) =>
      asking(options, async (command) => backup(command, database, options)),
    );
  work(program.command('verify <backup>').description("read a backup's copies back, every byte"))
    .option('--database <database>', 'whose backup, with latest and before:TIME or where names are the same')
    .option(...store)
    .action(async (reference: string, options) =>
      asking(options, async (command) => verify(command, reference, options)),
    );
  work(
    program
      .command('restore <backup>')
      .description('restore a backup into a new database, or in the place of one, and compare'),
  )
    .option('--into <name>', 'name of the new database')
    .option('--table <schema.name>', 'all definitions, but the rows of this table alone (may be repeated)', collect)
    .option('--in-place', 'replace the database as a whole; the one that was there is kept under another name')
    .option('--over <database>', 'with --in-place: replace this one (default: the one that the backup is of)')
    .option('--no-safety-backup', 'with --in-place: make no backup of the database that is replaced')
    .option('--yes', 'with --in-place: do not ask')
    .option('--database <database>', 'whose backup, with latest and before:TIME or where names are the same')
    .option('--agent <agent>', 'the agent that restores (default: the one that looks after the database)')
    .option('--via <database>', "on this database's server, where the agent looks after several")
    .action(async (reference: string, options) =>
      asking(options, async (command) => restore(command, reference, options)),
    );
  work(program.command('drill <database>').description('test restore: into a scratch database, compare, drop'))
    .option('--backup <backup>', 'this backup (default: the latest)')
    .option('--agent <agent>', 'the agent that restores (default: the one that looks after the database)')
    .option('--via <database>', "on this database's server, where the agent looks after several")
    .action(async (database: string, options) => asking(options, async (command) => drill(command, database, options)));
  work(program.command('cancel <run>').description('ask the host to end a run and clear what it has begun')).action(
    async (run: string, options) => asking(options, async (command) => cancel(command, run, options)),
  );
}

/** What is made when, and what is kept. */
function addKeeping(program: CommanderCommand, { asking }: Handlers): void {
  const policy = program.command('policy').description('when backups are made, and what is kept').exitOverride();
  connected(
    policy.command('show <database>', { isDefault: true }).description('show the policy that is in force'),
  ).action(async (database: string, options) => asking(options, async (command) => showPolicy(command, database)));
  connected(policy.command('history <database>').description('show who has changed it, and when')).action(
    async (database: string, options) => asking(options, async (command) => policyHistory(command, database)),
  );
  connected(policy.command('set <database>').description('change what is named, and leave the rest'))
    .option('--schedule <cron>', 'when: "0 3 * * *", or for some stores "s3=0 3 * * *" (may be repeated)', collect)
    .option('--no-schedule', 'only when asked')
    .option('--timezone <zone>', 'of all cron lines: Europe/Berlin')
    .option('--jitter <duration>', 'start up to this much later, by chance: 10m')
    .option('--catch-up', 'make what was missed')
    .option('--no-catch-up', 'make nothing late')
    .option('--catch-up-limit <duration>', 'missed for longer, it is not made late: 24h')
    .option('--run-limit <duration>', 'end a run that takes longer: 6h, or none')
    .option('--keep <store=rules>', 's3=days:30,monthly:12, or s3=usual (may be repeated)', collect)
    .option('--verify <cron>', 'when the newest copy in each bucket is read back, or never')
    .option('--verify-after-backup', 'read directories back after each backup')
    .option('--no-verify-after-backup', 'do not')
    .option('--drill <cron>', 'when the latest backup is drilled, or never')
    .option(
      '--goal <scenario=limits>',
      'objectives: dataDeletion=rpo:24h,rto:30m, or all=rto:none (may be repeated)',
      collect,
    )
    .option(
      '--alert <name=value>',
      'from when on alerts are raised: rowsLost=0.3, drillOverdue=off (may be repeated)',
      collect,
    )
    .option('--file <file>', 'take this whole policy instead, JSON as show --json prints it; - for standard input')
    .option('--from-host', "take what the host's file says now instead")
    .action(async (database: string, options) =>
      asking(options, async (command) => setPolicy(command, database, options)),
    );
  connected(policy.command('pause <database>').description('make nothing by itself until a moment'))
    .requiredOption('--until <when>', '12h, 3d, or a date')
    .requiredOption('--reason <text>', 'shown wherever somebody asks why')
    .action(async (database: string, options) =>
      asking(options, async (command) => pausePolicy(command, database, options)),
    );
  connected(policy.command('resume <database>').description('end a pause')).action(async (database: string, options) =>
    asking(options, async (command) => resumePolicy(command, database)),
  );
  const retention = program.command('retention').description('what is kept, what goes, and why').exitOverride();
  connected(
    retention.command('preview <database>').description('show what would stay and what would go in each store'),
  ).action(async (database: string, options) =>
    asking(options, async (command) => previewRetention(command, database)),
  );
  connected(
    retention
      .command('apply <database>')
      .description('remove from its buckets what retention keeps no longer, also where much goes at once'),
  )
    .option('--yes', 'do not ask')
    .action(async (database: string, options) =>
      asking(options, async (command) => carryOutRetention(command, database, options)),
    );
  const ofDatabase = [
    '--database <database>',
    'whose backup, with latest and before:TIME or where names are the same',
  ] as const;
  connected(program.command('pin <backup>').description('keep a backup, whatever the policy says'))
    .requiredOption('--reason <text>', 'why')
    .option('--until <when>', '90d, 12h, or a date (default: until it is unpinned)')
    .option(...ofDatabase)
    .action(async (backup: string, options) => asking(options, async (command) => pin(command, backup, options)));
  connected(program.command('unpin <backup>').description('leave a backup to the policy again'))
    .option(...ofDatabase)
    .action(async (backup: string, options) => asking(options, async (command) => unpin(command, backup, options)));
  connected(program.command('drift <database>').description('show how what its stores hold differs from the catalog'))
    .option('--look', 'compare its buckets now')
    .action(async (database: string, options) => asking(options, async (command) => drift(command, database, options)));
}

/** What is wrong, and who is told of it. */
function addAlerts(program: CommanderCommand, { asking }: Handlers): void {
  const group = program.command('alerts').description('what is wrong: show, acknowledge, silence').exitOverride();
  paged(connected(group.command('list', { isDefault: true }).description('list what is wrong, the newest first')))
    .option('--history', 'what is over, too')
    .option('--environment <name>', 'only those of this environment')
    .option('--database <database>', 'only those of this database')
    .action(async (options) => asking(options, async (command) => alerts(command, limited(options))));
  const note = ['--note <text>', 'for whoever looks at it next'] as const;
  connected(group.command('acknowledge <alert>').description('take it on: nobody is reminded of it any more'))
    .option(...note)
    .action(async (alert: string, options) =>
      asking(options, async (command) => acknowledgeAlert(command, alert, options)),
    );
  connected(group.command('silence <alert>').description('tell nobody of it before a moment'))
    .requiredOption('--until <when>', '12h, 3d, or a date')
    .option(...note)
    .action(async (alert: string, options) =>
      asking(options, async (command) => silenceAlert(command, alert, options)),
    );
  connected(group.command('unsilence <alert>').description('tell of it again')).action(async (alert: string, options) =>
    asking(options, async (command) => unsilenceAlert(command, alert)),
  );
  connected(program.command('objectives <database>').description('show RPO and RTO beside what was measured'))
    .option('--days <count>', 'how far back', countOf, 90)
    .action(async (database: string, options) =>
      asking(options, async (command) => objectives(command, database, options)),
    );
  const told = program.command('channels').description('where alerts are told: show, test').exitOverride();
  connected(told.command('list', { isDefault: true }).description('list the channels, and whether they work')).action(
    async (options) => asking(options, channels),
  );
  connected(told.command('test <channel>').description('send a message there, and say whether it arrived')).action(
    async (channel: string, options) => asking(options, async (command) => testChannel(command, channel)),
  );
  paged(
    connected(told.command('deliveries <channel>').description('list the messages to it, the newest first')),
  ).action(async (channel: string, options) =>
    asking(options, async (command) => deliveries(command, channel, limited(options))),
  );
}

function addAdministration(program: CommanderCommand, { asking }: Handlers): void {
  const keys = program.command('keys').description('list, create and revoke API keys').exitOverride();
  connected(keys.command('list', { isDefault: true }).description('list the API keys')).action(async (options) =>
    asking(options, listKeys),
  );
  connected(keys.command('create').description('make an API key; it is shown this once'))
    .requiredOption('--name <name>', 'what people call it')
    .addOption(new Option('--role <role>', 'what it may do').choices(roles).makeOptionMandatory())
    .option('--environment <name>', 'for this environment (may be repeated)', collect)
    .option('--all-environments', 'for all environments, also those to come')
    .option('--expires <when>', '90d, 12h, 2w, or a date')
    .option('--key-file <file>', 'write the key into this new file and do not show it')
    .action(async (options) => asking(options, async (command) => createKey(command, options)));
  connected(keys.command('revoke <key>').description('take a key out of use, by its name or id')).action(
    async (key: string, options) => asking(options, async (command) => revokeKey(command, key)),
  );
  paged(connected(program.command('audit').description('show who did what, or was refused; the newest first')))
    .option('--verify', 'look whether every entry is as it was written')
    .option('--environment <name>', 'only what is about this environment')
    .option('--actor <id>', 'only what this one did')
    .option('--action <action>', 'only this: restore.request, key.create, access.refused …')
    .option('--subject <id>', 'only what was done to this')
    .action(async (options) => asking(options, async (command) => audit(command, limited(options))));
  connected(program.command('enroll-token').description('make a one-time token by which a host enrols'))
    .option('--environment <name>', "the environment that the host's agent belongs to")
    .action(async (options) => asking(options, async (command) => enrollToken(command, options)));
}

function json(command: CommanderCommand): CommanderCommand {
  return command.exitOverride().option('--json', 'print one JSON document on standard output');
}

/** The options of all that ask a control plane. */
function connected(command: CommanderCommand): CommanderCommand {
  return json(command)
    .option('--context <name>', 'the login to use (default: STRIDEIQ_URL and STRIDEIQ_KEY, or the current one)')
    .option('--ca <file>', 'a certificate authority of your own, PEM')
    .option('--allow-plain-text', 'let the key cross a network unencrypted');
}

function paged(command: CommanderCommand): CommanderCommand {
  return command.option('--limit <count>', 'at most so many', countOf, 50).option('--all', 'all there are');
}

function limited<Options extends { limit?: number; all?: boolean }>(options: Options): Options {
  return options.all ? { ...options, limit: Infinity } : options;
}

function countOf(said: string): number {
  if (/^[1-9]\d{0,8}$/.test(said)) return Number(said);
  throw new InvalidArgumentError('It must be a number from 1 on.');
}

function collect(value: string, before: string[] = []): string[] {
  return [...before, value];
}
