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

export interface RestoreTarget {
  agentId: string;
  mode: 'fresh';
  /** Name of the new database. */
  database: string;
  /** On whose server, where the agent looks after several: the id of one of its databases. */
  viaDatabaseId?: string;
}
