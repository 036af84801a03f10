import { durationSchema, nameSchema, sizeSchema, textSchema } from '@strideiq/configuration';
import { cronSchema, retentionRulesSchema, timeZoneSchema } from '@strideiq/core';
import { heartbeatSchema } from '@strideiq/heartbeat';
import { z } from 'zod';
import { longestTimerMs } from '../longest-timer.ts';
import { type ConnectionConfiguration, connectionSchema } from './connection.ts';
import { alertsSchema, objectivesSchema } from './objectives.ts';
import { commandSchema } from './values.ts';

/** Everything that can be asked of an agent from outside (architecture.md, "Identity, time and order"). */
export const remoteActions = [
  'backup',
  'verify',
  'drill',
  'restoreFresh',
  'restoreTables',
  'restoreInPlace',
  'restoreUpload',
  'copy',
  'presign',
  'deleteLocal',
  'cancel',
] as const;
export type RemoteAction = (typeof remoteActions)[number];

/** Replacing a live database, and SQL that nobody vouches for, are for the host to allow by name. */
const byName: readonly string[] = ['restoreInPlace', 'restoreUpload'];
const allowedByDefault: RemoteAction[] = remoteActions.filter((action) => !byName.includes(action));

const patterns = (what: string) =>
  z.array(textSchema).default([]).describe(`${what} Patterns as pg_dump takes them, such as public.audit_*.`);

const dumpSchema = z
  .strictObject({
    excludeTables: patterns('Tables left out altogether.'),
    excludeTableData: patterns('Tables whose rows are left out.'),
    jobs: z
      .union([z.literal('auto'), z.int().min(1).max(64)], { error: 'must be auto or a whole number from 1 to 64' })
      .default('auto')
      .describe(
        'Connections that read rows at once, beside pg_dump: auto is 2, half of more than 4 processors, and fewer where they are busy; 1 leaves everything to pg_dump.',
      ),
    largeTable: sizeSchema
      .prefault('32MB')
      .describe('Tables from this size on are divided between those connections; pg_dump reads the others.'),
    compressionLevel: z.int().min(1).max(9).default(4).describe('Of gzip: 1 is fastest, 9 smallest.'),
    nice: z
      .int()
      .min(0)
      .max(19)
      .default(0)
      .describe('How far the backup stands back for other programs of this host: 0 not at all, 19 wherever they want.'),
    uploadLimit: sizeSchema
      .refine((bytes) => bytes > 0, 'must be more than nothing')
      .optional()
      .describe('Most bytes that an S3 store is sent in a second, such as 20MB. Left out: as many as it takes.'),
    exec: commandSchema
      .default([])
      .describe(
        'Words put before pg_dump where only such a command reaches the server: [docker, compose, exec, -T, postgres].',
      ),
    execConnect: commandSchema
      .optional()
      .describe(
        "Command whose standard input and output become a connection to the server. Left out: bash's /dev/tcp by exec.",
      ),
    lockWaitLimit: durationSchema
      .prefault('60s')
      .describe('Longest wait for a lock on a table before letting go and trying again.'),
    hangLimit: durationSchema
      .prefault('10m')
      .describe('Longest time without a byte, while nothing explains it, before pg_dump is ended.'),
    stallLimit: durationSchema
      .prefault('60s')
      .describe(
        'Longest time that a store may take nothing. An S3 store is then asked again, for as long as this once more; after that its copy has failed, and the others go on.',
      ),
    snapshotAgeLimit: durationSchema
      .prefault('12h')
      .describe('Longest time that a backup may hold its snapshot, since an old one keeps vacuum from its work.'),
    rolePasswords: z
      .boolean()
      .default(false)
      .describe(
        'Whether the file of globals beside each backup holds the password hashes of all roles of the server; that needs a superuser, or a member of pg_read_all_data. Whoever can read the backups can then try to guess them.',
      ),
    pgDump: textSchema
      .optional()
      .describe(
        "pg_dump by its path, or the directory that holds it. Left out: the newest on the host that fits the server's version.",
      ),
  })
  .transform(({ lockWaitLimit, hangLimit, stallLimit, snapshotAgeLimit, largeTable, uploadLimit, ...rest }) => ({
    ...rest,
    largeTableBytes: largeTable,
    ...(uploadLimit === undefined ? {} : { uploadBytesPerSecond: uploadLimit }),
    lockWaitLimitMs: lockWaitLimit,
    hangLimitMs: hangLimit,
    stallLimitMs: stallLimit,
    snapshotAgeLimitMs: snapshotAgeLimit,
  }));
export type DumpConfiguration = z.output<typeof dumpSchema>;

/** One command, or several that run one after another. */
const hookSchema = z
  .union([z.array(z.string()), z.array(z.array(z.string()))], {
    error: 'must be a command as a list of words, such as [docker, compose, stop, api], or a list of such lists',
  })
  .transform((given): string[][] => {
    if (given.length === 0) return [];
    return Array.isArray(given[0]) ? (given as string[][]) : [given as string[]];
  })
  .refine((commands) => commands.every(([program = '']) => program !== ''), 'has a command without a program')
  .prefault([]);

const hooksSchema = z
  .strictObject({
    beforeSwap: hookSchema.describe(
      'Run before an in-place restore takes the old database away: stop the application here.',
    ),
    afterSwap: hookSchema.describe(
      'Run after the restored database stands in its place: start the application here. Also run where beforeSwap was and the swap was then called off. Has to bear being run twice; what it leaves running must not write to the hook’s own output.',
    ),
    afterRestore: hookSchema.describe(
      'Run when a restored database is loaded and compared, before anyone is let in; psql finds it by the variables PG…, and behind `dump.exec` by STRIDEIQ_TARGET: the agent’s own PG… are handed on to no hook.',
    ),
    afterRestoreSql: textSchema
      .optional()
      .describe('A file of SQL that is run at the same moment, in the restored database: to mask data, say.'),
    healthCheck: z
      .url({ protocol: /^https?$/, error: 'must be a URL that begins with http:// or https://' })
      .optional()
      .describe('Asked after a swap; the restore is undone where it does not answer 2xx in time.'),
    timeLimit: durationSchema.prefault('10m').describe('Longest time that a hook may take, all its commands together.'),
    healthCheckLimit: durationSchema.prefault('2m').describe('Longest time until healthCheck has to answer 2xx.'),
  })
  .transform(({ timeLimit, healthCheckLimit, ...rest }) => ({
    ...rest,
    timeLimitMs: timeLimit,
    healthCheckLimitMs: healthCheckLimit,
  }));
export type HooksConfiguration = z.output<typeof hooksSchema>;

const assertionSchema = z.strictObject({
  name: textSchema.describe('What people call it: the newest activity is of today.'),
  sql: textSchema.describe('A query whose rows all have to begin with true; none is a failure.'),
});

/** On Sundays, an hour after buckets are read back. */
const weeklyDrill = '30 6 * * 0';

const drillSchema = z
  .strictObject({
    schedule: z
      .union([cronSchema, z.literal('never')])
      .optional()
      .describe(
        'When to drill the latest backup by itself, as a cron line, or never. Left out: weekly where via names a place for it, else only when asked.',
      ),
    via: nameSchema
      .optional()
      .describe(
        'A database of this file, on whose server drills make their scratch database: its own name for its own server. Left out: its own server, and not by itself.',
      ),
    assertions: z
      .array(assertionSchema)
      .max(100)
      .default([])
      .describe('Asked of the restored database, which they only read.'),
    assertionLimit: durationSchema.prefault('5m').describe('Longest time that one of them may take.'),
    sampledRows: z
      .int()
      .min(0)
      .max(100_000_000)
      .default(200_000)
      .describe('About how many rows of tables drawn by lot are compared with the dump one by one.'),
  })
  .transform(({ assertionLimit, schedule, ...rest }) => ({
    ...rest,
    schedule: schedule === 'never' ? undefined : (schedule ?? (rest.via === undefined ? undefined : weeklyDrill)),
    assertionLimitMs: assertionLimit,
  }));
export type DrillConfiguration = z.output<typeof drillSchema>;

const everywhereSchema = cronSchema.transform((cron) => ({ cron, stores: undefined }));
const someStoresSchema = z.strictObject({
  cron: cronSchema.describe('A cron line of five fields.'),
  stores: z.array(z.string()).min(1, 'must name at least one store').optional().describe('Left out: all.'),
});
const scheduleSchema = z.union([
  everywhereSchema.transform((line) => [line]),
  someStoresSchema.transform((line) => [line]),
  z.array(z.union([everywhereSchema, someStoresSchema])),
]);

const verifySchema = z.strictObject({
  afterBackup: z
    .boolean()
    .default(true)
    .describe('Whether `run` reads copies in directories back as soon as a backup is made.'),
  schedule: z
    .union([cronSchema, z.literal('never')])
    .default('30 5 * * 0')
    .describe(
      'When `run` reads the newest copy in each bucket back, as a cron line; that is paid for by the gigabyte. Where there is no bucket: in each directory.',
    ),
});

const pauseSchema = z
  .strictObject({
    reason: textSchema.describe('Shown wherever somebody asks why no backup is made.'),
    until: z.iso.datetime({ offset: true }).describe('When it goes on, as 2026-01-11T06:00:00Z.'),
  })
  .transform(({ reason, until }) => ({ reason, untilMs: Date.parse(until) }));

/** Of databases that restores in place have replaced. */
const keepReplacedSchema = z.strictObject({
  days: z.int().min(1).max(3650).default(7).describe('Dropped when it was replaced longer ago than this.'),
  count: z.int().min(1).max(100).default(3).describe('At most this many are kept; the oldest are dropped first.'),
});

/** One database of the host's file. */
export const databaseSchema = z
  .strictObject({
    include: z
      .literal('all')
      .optional()
      .describe(
        'all: this entry stands for every database of its server, those that are yet to come included; all else that it says holds for each of them. Its own name then names no database, and connection.database is the one that is asked for the others (left out: postgres). Left out: the entry is one database.',
      ),
    exclude: z
      .array(textSchema)
      .default([])
      .describe(
        'With include: all, databases that are left alone, by their names on the server: * stands for any letters, ? for one, as in test_*.',
      ),
    connection: connectionSchema.prefault({}),
    stores: z
      .array(z.string())
      .min(1, 'must name at least one store')
      .describe('Stores that each backup goes to, by their names above.'),
    schedule: scheduleSchema
      .default([])
      .describe(
        'When to back up: a cron line of five fields, or { cron, stores } for some of the stores alone, or a list of both. Left out: only when asked.',
      ),
    pause: pauseSchema.optional().describe('Until then nothing is done by itself; what is asked for is.'),
    runLimit: durationSchema
      .refine((ms) => ms <= longestTimerMs, 'must be 24d at most')
      .optional()
      .describe('A run that takes longer is ended, and has failed. Left out: none.'),
    timezone: timeZoneSchema.default('UTC').describe('IANA time zone of the schedule, such as Europe/Berlin.'),
    jitter: durationSchema
      .prefault('0s')
      .describe('A backup starts up to this much later, by chance, so that hosts do not all start at once.'),
    catchUp: z
      .boolean()
      .default(true)
      .describe('Whether a backup missed while the host was down is made once it is back.'),
    catchUpLimit: durationSchema
      .prefault('24h')
      .describe('A backup missed for longer than this is not made late: the next one of the schedule is.'),
    retention: z
      .record(z.string(), retentionRulesSchema)
      .default({})
      .describe('What is kept, by the name of the store. A backup is kept if any of the rules keeps it.'),
    objectives: objectivesSchema.describe(
      'How much may be lost, and how long a restore may take, by scenario. Left out: 24 hours each, and 1 h, 4 h and 30 min.',
    ),
    alerts: alertsSchema.describe('From when on the control plane raises alerts about this database.'),
    dump: dumpSchema.prefault({}).describe('How the dump is made.'),
    hooks: hooksSchema.prefault({}).describe('Commands of this host around restores. They never arrive from outside.'),
    verify: verifySchema.prefault({}).describe('When `run` reads copies back by itself.'),
    heartbeat: heartbeatSchema
      .optional()
      .describe(
        'A dead man’s switch: a URL that hears of each backup’s start and end, in the convention of healthchecks.io, and raises an alarm where it hears nothing. {environment} and {database} in it are filled in.',
      ),
    drill: drillSchema.prefault({}).describe('How a drill looks at the database that it has restored.'),
    keepReplaced: keepReplacedSchema
      .prefault({})
      .describe('How long the databases are kept that restores in place have replaced.'),
    allow: z
      .array(z.enum(remoteActions))
      .default(allowedByDefault)
      .describe('What may be asked of this host from outside. Left out: all but restoreInPlace and restoreUpload.'),
  })
  .transform(({ jitter, catchUpLimit, runLimit, ...rest }) => ({
    ...rest,
    jitterMs: jitter,
    catchUpLimitMs: catchUpLimit,
    runLimitMs: runLimit,
  }));

/** A database that the agent looks after, as the host's file says. */
export type DatabaseConfiguration = Omit<z.output<typeof databaseSchema>, 'connection' | 'include' | 'exclude'> & {
  /** Its key in the file, which names backups; the name on the server is `connection.database`. */
  name: string;
  connection: ConnectionConfiguration;
  /** Of one that was found on its server: since when it is there no more, milliseconds since 1970. */
  goneSince?: number;
};

/** An entry of the host's file that says `include: all`: a server, and how each of its databases is looked after. */
export type ServerConfiguration = DatabaseConfiguration & {
  /** Patterns as `matchesName` takes them. */
  exclude: readonly string[];
};

export const databasesSchema = z.record(nameSchema, databaseSchema);
