import type { RuleName, Severity } from '@strideiq/core';

/** One alert of a message. */
export interface NoticeAlert {
  id: string;
  /** For people: `running_app`, `running_app in s3`, a host's name. */
  subject: string;
  text: string;
  /** Milliseconds since 1970. */
  openedAt: number;
  resolvedAt?: number;
}

/** One message to a channel: about all alerts of one rule in one environment, the weekly digest, or a test. */
export interface Notice {
  /** The same over all attempts, so that receivers can tell a repetition. */
  id: string;
  /** The same for all messages of one trouble: `production/noBackup`. */
  group: string;
  kind: 'opened' | 'reminder' | 'resolved' | 'digest' | 'test';
  severity: Severity;
  /** Null: it is about the control plane itself, or about several. */
  environment: string | null;
  rule: RuleName | null;
  /** One line. */
  title: string;
  /** What it means; empty where there is nothing to say. */
  meaning: string;
  /** What to do; empty where there is nothing. */
  cure: string;
  /** At most 20, the worst first. */
  alerts: NoticeAlert[];
  /** Of those that are not listed. */
  more: number;
  table?: { head: string[]; rows: string[][] };
  /** The page about it. */
  link: string | null;
  at: number;
}
