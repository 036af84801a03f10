const minuteMs = 60_000;

/** `critical`: somebody gets up for it. `warning`: by daylight. `info`: to be known. */
export const severities = ['info', 'warning', 'critical'] as const;
export type Severity = (typeof severities)[number];

/** What every alert of a rule has in common. */
export interface AlertRule {
  severity: Severity;
  /** What it is about, as a headline: `No backup`. */
  title: string;
  /** What it means for whoever reads it. */
  meaning: string;
  /** What to do. */
  cure: string;
  /** It must hold for so long before it is one: what ends by itself before is nobody's trouble. */
  opensAfterMs: number;
  /** It must be over for so long before it counts as resolved. */
  clearsAfterMs: number;
}

const rule = (
  severity: Severity,
  title: string,
  meaning: string,
  cure: string,
  { opensAfterMs = 0, clearsAfterMs = 0 }: Partial<AlertRule> = {},
): AlertRule => ({ severity, title, meaning, cure, opensAfterMs, clearsAfterMs });

/** Every rule, by its name. A rule judges subjects of one kind: a database, one of its stores, an agent, a channel, a key. */
export const alertRules = {
  noBackup: rule(
    'critical',
    'No backup',
    'If the database were lost now, more would be gone than its objective allows.',
    'See why the last run failed, or why none was begun (`strideiq runs`), and take one now: `strideiq backup DATABASE`.',
  ),
  backupFailed: rule(
    'warning',
    'Backup failed',
    'The last backup came to nothing. Those of before are untouched.',
    'Read its log (`strideiq runs`), mend what it names, and take one now: `strideiq backup DATABASE`.',
  ),
  backupSmall: rule(
    'critical',
    'Backup smaller than expected',
    'The newest backup holds much less than those before it: rows may have been lost before it was made.',
    'Compare its tables with an older one (`strideiq-agent show REF`). If it is as it should be, the alert ends with the next backups; pin an older one if it is not: `strideiq pin`.',
  ),
  rowsLost: rule(
    'critical',
    'A table lost rows',
    'A table of the newest backup has far fewer rows than in the one before it: truncated, or deleted from.',
    'If nobody meant to, pin the older backup (`strideiq pin`) and restore the table from it: `strideiq restore --table`.',
  ),
  schemaChanged: rule(
    'info',
    'Schema changed',
    'The newest backup is made of other tables, columns or functions than the one before it.',
    'Nothing, where it was a release.',
  ),
  copyFailed: rule(
    'critical',
    'Copy not stored',
    'The newest backup is missing in one of its stores: what happens to the others happens to all of it.',
    'Look at the store and its credentials (`strideiq-agent doctor`); the copy is made from another one once it answers.',
    { clearsAfterMs: minuteMs },
  ),
  diskLow: rule(
    'critical',
    'Disk nearly full',
    'There is less room than the threshold, or less than the next backup needs: it would fail.',
    'Make room on that disk, or keep fewer there: `strideiq policy set`.',
    { opensAfterMs: minuteMs, clearsAfterMs: 5 * minuteMs },
  ),
  scheduleMissed: rule(
    'warning',
    'Backup not begun',
    'A backup was due by the schedule, and its host has not begun one.',
    'See that the agent runs and what it says: `journalctl -u strideiq-agent`, `strideiq-agent doctor`.',
  ),
  runLong: rule(
    'warning',
    'Run takes long',
    'It takes several times as long as the last good ones.',
    'Follow it (`strideiq runs --follow`); look at the load of the server and the way to the store.',
  ),
  runStuck: rule(
    'critical',
    'Run is stuck',
    'It is under way and nothing of it moves: no backup will come of it.',
    'Cancel it (`strideiq cancel RUN`), and look at what it waited for in its log.',
  ),
  agentAway: rule(
    'warning',
    'Agent away',
    'The host backs up by itself, but nobody sees whether it does, and nothing can be restored there from afar.',
    'See that the host is up, that `strideiq-agent run` runs, and that it reaches this control plane: `strideiq-agent doctor`.',
    { opensAfterMs: 5 * minuteMs, clearsAfterMs: 2 * minuteMs },
  ),
  serverAway: rule(
    'critical',
    'Database not reachable',
    'The agent cannot log in: the next backup would fail.',
    'See that PostgreSQL is up and that the agent may log in: `strideiq-agent doctor`.',
    { opensAfterMs: 10 * minuteMs, clearsAfterMs: minuteMs },
  ),
  storeAway: rule(
    'critical',
    'Store not usable',
    'The host cannot put anything there: the next backup would not be stored in it.',
    'See that it is mounted, or that its credentials are good: `strideiq-agent doctor`.',
    { opensAfterMs: 10 * minuteMs, clearsAfterMs: minuteMs },
  ),
  verifyFailed: rule(
    'critical',
    'Copy damaged',
    'A copy of a backup was read back and is not what was stored, or is not there any more.',
    'Use another copy of it. It is made again by itself where a good one is left; see why the store lost it.',
  ),
  verifyOverdue: rule(
    'warning',
    'Not read back',
    'No copy in that store was read back for longer than its schedule says: nobody knows that it can be.',
    'Read one back: `strideiq verify`. See why the schedule does not.',
  ),
  drillFailed: rule(
    'critical',
    'Drill failed',
    'The last test restore did not give the same database: a real one would not either.',
    'Read its log (`strideiq runs`) and drill again: `strideiq drill DATABASE`.',
  ),
  drillOverdue: rule(
    'warning',
    'No drill',
    'No test restore succeeded for longer than its schedule says.',
    'Drill: `strideiq drill DATABASE`. See why the schedule does not.',
  ),
  retentionWaits: rule(
    'warning',
    'Retention waits',
    'Nothing is removed from that store before somebody has looked; it fills up meanwhile.',
    'Look at what would go (`strideiq retention preview`), and let it: `strideiq retention apply`. Or change the policy.',
    { clearsAfterMs: minuteMs },
  ),
  drift: rule(
    'warning',
    'Store differs from the catalog',
    'What the store holds is not what was put there.',
    'Look at it: `strideiq drift DATABASE`.',
  ),
  rpoBroken: rule(
    'critical',
    'RPO broken',
    'What could be restored in that scenario is older than the objective allows.',
    'See why no newer copy is where that scenario needs it: `strideiq objectives DATABASE`.',
  ),
  rpoAtRisk: rule(
    'warning',
    'RPO cannot be met',
    'Even where all goes well, the schedule leaves more time between backups than the objective allows.',
    'Back up more often, or change the objective: `strideiq policy set`.',
  ),
  rtoBroken: rule(
    'critical',
    'RTO broken',
    'The last measured restore took longer than the objective allows.',
    'Give the restore more jobs or a faster server, or change the objective: `strideiq policy set`.',
  ),
  rtoAtRisk: rule(
    'warning',
    'RTO nearly broken',
    'The last measured restore took more than four fifths of what the objective allows.',
    'Before it grows past it: more jobs, a faster server, or another objective (`strideiq policy set`).',
  ),
  clockOff: rule(
    'warning',
    'Clock is off',
    'Backups are named and kept by a clock that is wrong.',
    'Mend the time of that host: `timedatectl`, chrony or ntpd.',
    { opensAfterMs: 2 * minuteMs, clearsAfterMs: minuteMs },
  ),
  pgDumpOld: rule(
    'critical',
    'pg_dump too old',
    'pg_dump refuses a server newer than itself: every backup will fail.',
    'Install the client tools of the server’s version on that host, or name them by `dump.pgDump`.',
  ),
  keyExpires: rule(
    'warning',
    'Key about to expire',
    'What uses it will be refused afterwards.',
    'Make a new one (`strideiq keys create`) and revoke the old.',
  ),
  certificateExpires: rule(
    'critical',
    'Certificate about to expire',
    'Agents and people will not connect afterwards.',
    'Renew the certificate that `tlsCert` names, and start the control plane again.',
  ),
  channelFailed: rule(
    'critical',
    'Alerts are not delivered',
    'What that channel is to tell does not arrive.',
    'See what it answers (`strideiq channels`), mend it, and try it: `strideiq channels test NAME`.',
    { clearsAfterMs: minuteMs },
  ),
} as const satisfies Record<string, AlertRule>;

export type RuleName = keyof typeof alertRules;
export const ruleNames = Object.keys(alertRules) as [RuleName, ...RuleName[]];
