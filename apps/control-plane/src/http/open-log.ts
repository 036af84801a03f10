import { redacted } from '@strideiq/terminal';
import { pino, type Logger } from 'pino';

export interface LogOptions {
  level: 'debug' | 'info' | 'warn' | 'error';
  /** What must not be logged; may grow. Beside keys, tokens and signed URLs, which are known by their form. */
  secrets: ReadonlySet<string>;
  /** Where lines go; left out: standard error. */
  destination?: { write(line: string): unknown };
}

/** API keys, agents' credentials and enrolment tokens; and what makes a URL one that anyone may read. */
const known = /siq[ae]?_[\w-]{20,}|(?<=X-Amz-(?:Signature|Credential|Security-Token)=)[^&"\\\s]+/g;

/**
 * The program's log: one JSON document a line. Secrets are blotted out of the finished line, so that it makes no
 * difference in which field of which error they stood.
 */
export function openLog({ level, secrets, destination }: LogOptions): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      hooks: {
        streamWrite: (line) => redacted(line.replaceAll(known, '***'), [...secrets].map(inJson)),
      },
    },
    destination ?? pino.destination({ fd: 2, sync: true }),
  );
}

/** As it is spelled within a JSON string. */
function inJson(secret: string): string {
  return JSON.stringify(secret).slice(1, -1);
}
