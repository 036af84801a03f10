import { ProgressLine, type ProgressStep, type ProgressStream } from './progress-line.ts';
import { redacted } from './redacted.ts';
import { printable } from './text.ts';

export interface OutputOptions {
  json: boolean;
  quiet: boolean;
  /** What must never be shown. May grow while the command runs. */
  secrets: ReadonlySet<string>;
  /** This process's own where nothing is said. */
  stdout?: { write(text: string): unknown };
  stderr?: ProgressStream;
  /** For progress, milliseconds. */
  now?: () => number;
}

/**
 * What a command says: results on standard output, everything else on standard error. With `--json` one JSON document
 * stands on standard output, also for a failure. Every secret that is known is blotted out.
 */
export class Output {
  readonly json: boolean;
  readonly #quiet: boolean;
  readonly #secrets: ReadonlySet<string>;
  readonly #stdout: { write(text: string): unknown };
  readonly #stderr: ProgressStream;
  readonly #progress: ProgressLine;

  constructor({ json, quiet, secrets, stdout, stderr, now }: OutputOptions) {
    this.json = json;
    this.#quiet = quiet;
    this.#secrets = secrets;
    this.#stdout = stdout ?? process.stdout;
    this.#stderr = stderr ?? process.stderr;
    this.#progress = new ProgressLine(
      this.#stderr,
      (text) => this.#redacted(text),
      now ?? performance.now.bind(performance),
    );
  }

  /** The result: `document` for programs, `text` for people. */
  result(document: unknown, text: string): void {
    this.#progress.end();
    if (this.json) this.#document(document, 2);
    else if (!this.#quiet) this.#stdout.write(`${this.#clean(text)}\n`);
  }

  /** One of many results that come while the command runs: each a line, a JSON document of its own for programs. */
  item(document: unknown, text: string): void {
    this.#progress.end();
    if (this.json) this.#document(document);
    else if (!this.#quiet) this.#stdout.write(`${this.#clean(text)}\n`);
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
    if (this.json) this.#document({ error: { code, message: text }, ...details }, 2);
    this.#line(`error: ${text}`);
  }

  progress(step: ProgressStep): void {
    if (!this.json && !this.#quiet) this.#progress.show(step);
  }

  #line(text: string): void {
    this.#progress.end();
    this.#stderr.write(`${this.#clean(text)}\n`);
  }

  /** Blotted out string by string: in JSON's text a secret with a quotation mark is no longer spelled as itself. */
  #document(document: unknown, indent?: number): void {
    const clean = (_: string, value: unknown): unknown => (typeof value === 'string' ? this.#redacted(value) : value);
    this.#stdout.write(`${this.#redacted(JSON.stringify(document, clean, indent))}\n`);
  }

  #clean(text: string): string {
    return printable(this.#redacted(text));
  }

  #redacted(text: string): string {
    return redacted(text, this.#secrets);
  }
}
