import { printable, redacted } from '@strideiq/terminal';

/** What an event is about. */
export interface About {
  runId?: string;
  commandId?: string;
}

/** What the daemon says: each event once, in a line of its own. */
export interface Events {
  info(text: string, about?: About): void;
  warn(text: string, about?: About): void;
  error(text: string, about?: About): void;
}

export interface EventLineOptions {
  /** JSON lines for programs, in place of plain ones. */
  json: boolean;
  /** Warnings and errors alone. */
  quiet: boolean;
  secrets: ReadonlySet<string>;
  now: () => number;
  write: (line: string) => void;
}

/** Events as lines, with no secret in them. */
export function eventLines({ json, quiet, secrets, now, write }: EventLineOptions): Events {
  const say =
    (level: 'info' | 'warn' | 'error') =>
    (text: string, about: About = {}) => {
      if (quiet && level === 'info') return;
      const at = new Date(now()).toISOString();
      const clean = redacted(text, secrets);
      if (json) write(`${JSON.stringify({ at, level, ...about, text: clean })}\n`);
      else write(`${at} ${level.padEnd(5)} ${runText(about)}${oneLine(clean)}\n`);
    };
  return { info: say('info'), warn: say('warn'), error: say('error') };
}

function runText({ runId }: About): string {
  return runId === undefined ? '' : `run ${runId}: `;
}

/** Whatever others have called their things, one event stays one line. */
function oneLine(text: string): string {
  return printable(text.replaceAll(/\s*\n\s*/g, ' '));
}
