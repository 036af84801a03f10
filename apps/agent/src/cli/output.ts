import type { ReportProgress } from '../progress/progress.ts';
import { TerminalProgress } from './terminal-progress.ts';

/**
 * What a command says: results on standard output, everything else on standard error. With `--json` one JSON document
 * stands on standard output, also for a failure. Every secret that is known is blotted out.
 */
export class Output {
  readonly json: boolean;
  readonly #quiet: boolean;
  readonly #secrets: ReadonlySet<string>;
  readonly #progress: TerminalProgress;

  constructor(options: { json: boolean; quiet: boolean; secrets: ReadonlySet<string> }) {
    this.json = options.json;
    this.#quiet = options.quiet;
    this.#secrets = options.secrets;
    this.#progress = new TerminalProgress(process.stderr, (text) => this.#redacted(text));
  }

  /** The result: `document` for programs, `text` for people. */
  result(document: unknown, text: string): void {
    this.#progress.end();
    if (this.#quiet && !this.json) return;
    process.stdout.write(this.#redacted(this.json ? `${JSON.stringify(document, undefined, 2)}\n` : `${text}\n`));
  }

  note(text: string): void {
    if (!this.#quiet) this.#line(text);
  }

  warn(text: string): void {
    this.#line(`warning: ${text}`);
  }

  /** A part of the work that failed, while the rest went on. */
  problem(text: string): void {
    this.#line(`error: ${text}`);
  }

  /** @param details more for programs, beside code and message */
  failure(code: string, text: string, details: object = {}): void {
    this.#progress.end();
    if (this.json) {
      const document = { error: { code, message: text }, ...details };
      process.stdout.write(this.#redacted(`${JSON.stringify(document, undefined, 2)}\n`));
    }
    this.#line(`error: ${text}`);
  }

  readonly progress: ReportProgress = (progress) => {
    if (!this.json && !this.#quiet) this.#progress.show(progress);
  };

  #line(text: string): void {
    this.#progress.end();
    process.stderr.write(this.#redacted(`${text}\n`));
  }

  #redacted(text: string): string {
    let clean = text;
    for (const secret of this.#secrets) if (secret.length > 3) clean = clean.replaceAll(secret, '***');
    return clean;
  }
}
