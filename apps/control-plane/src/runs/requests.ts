/** Who asks for work. */
export interface Requester {
  /** Of an API key, or `local`. */
  keyId: string;
  /** The header `Idempotency-Key`: asked again by it, the answer is the same run. */
  idempotencyKey?: string;
}

/** The run that does what was asked for. */
export interface Requested {
  runId: string;
  /** Whether the same request had been made before, by the same key; nothing was done now. */
  repeated: boolean;
}

export interface BackupRequest {
  databaseId: string;
  /** Only into these; left out: into all of the database's stores. */
  storeIds?: string[];
}

export interface VerifyRequest {
  backupId: string;
  /** Left out: every store that has a copy. */
  storeIds?: string[];
}

/** What to restore: a backup, or the newest good one of a database. */
export type RestoreWhat = { backupId: string } | { databaseId: string; latest: true };

/** Where a drill restores to; left out: on the server of the database whose backup it is. */
export interface DrillTarget {
  agentId?: string;
  viaDatabaseId?: string;
}

/** A dump that was put into a store from outside, and the new database that it goes into, on that store's own host. */
export interface UploadRestore {
  databaseId: string;
  storeId: string;
  key: string;
  /** Name of the new database. */
  into: string;
  /** Left out: all of it. */
  tables?: string[];
}

/** Where to. */
export type RestoreTarget = { agentId: string } & (NewDatabase | InPlace);

interface NewDatabase {
  mode: 'fresh' | 'tables';
  /** Its name. */
  database: string;
  /** On whose server, where the agent looks after several: the id of one of its databases. */
  viaDatabaseId?: string;
  /** Of `tables`: those whose rows are wanted, `schema.name`. */
  tables?: string[];
}

interface InPlace {
  mode: 'inPlace';
  /** The database that is replaced, by its name in the host's file. */
  database: string;
  /** The same, as whoever asks has typed it. */
  confirm: string | undefined;
  /** Makes no backup of it first. */
  withoutSafetyBackup?: boolean;
}
