import type { Command, CommandKind, CommandOf } from '@strideiq/protocol';
import type { Host } from '../compose.ts';
import type { DatabaseConfiguration } from '../configuration/index.ts';
import type { AskControlPlane } from '../link/link.ts';
import type { ServerClock } from '../link/server-clock.ts';
import type { ReportProgress } from '../progress/progress.ts';

/** What doing one command needs. */
export interface Work<Kind extends CommandKind = CommandKind> {
  command: CommandOf<Kind>;
  /** Whose connection and stores it is about. */
  database: DatabaseConfiguration;
  /** For this work alone: what is opened is closed with it. */
  host: Host;
  progress: ReportProgress;
  /** Aborted with an `Interrupted` error when the run is cancelled, or the agent stops. */
  signal: AbortSignal;
  /** Tells of what does not make it fail. */
  warn: (text: string) => void;
  controlPlane: AskControlPlane;
  clock: ServerClock;
}

/** Commands that begin a run. */
export type RunCommand = Extract<Command, { runId: string }>;

export function isRunCommand(command: Command): command is RunCommand {
  return 'runId' in command;
}
