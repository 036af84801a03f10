import { TimeLeft } from '@strideiq/core';
import { durationText } from '@strideiq/core';
import { fitting, printable } from './text.ts';

/** One look at long work. */
export interface ProgressStep {
  /** What is being done: `Dumping`. A new one is shown at once. */
  name: string;
  /** 0 to 1, where one can tell: draws a bar. */
  fraction?: number | undefined;
  /** What more there is to say; asked for only when a line is drawn. */
  details?: () => readonly string[];
  /** A long step, whose beginning is said where there are plain lines too. */
  announced?: boolean;
}

/** The stream that it is drawn on. */
export interface ProgressStream {
  write(text: string): unknown;
  isTTY?: boolean;
  columns?: number;
}

const barWidth = 24;
const redrawnEveryMs = 120;
const saidEveryMs = 10_000;

/** A bar that is redrawn on a terminal, and a plain line every ten seconds elsewhere; with the time that is left, once that can be told. */
export class ProgressLine {
  readonly #out: ProgressStream;
  readonly #clean: (text: string) => string;
  readonly #now: () => number;
  readonly #timeLeft = new TimeLeft();
  #drawnAt = 0;
  #step: string | undefined;
  #open = false;

  /**
   * @param clean takes out what must not be shown
   * @param now milliseconds of a clock that only goes forward
   */
  constructor(out: ProgressStream, clean: (text: string) => string, now: () => number) {
    this.#out = out;
    this.#clean = clean;
    this.#now = now;
  }

  show(step: ProgressStep): void {
    const now = this.#now();
    const begins = step.name !== this.#step;
    const leftMs = this.#timeLeft.at(step.name, step.fraction, now);
    this.#step = step.name;
    if (!begins && now - this.#drawnAt < (this.#out.isTTY ? redrawnEveryMs : saidEveryMs)) return;
    this.#drawnAt = now;
    if (this.#out.isTTY) {
      const text = fitting(this.#text(step, leftMs), Math.max(20, (this.#out.columns || 80) - 1));
      this.#out.write(`\r\u001B[2K${text}`);
      this.#open = true;
    } else if (!begins || step.announced) this.#out.write(`${this.#text(step, leftMs)}\n`);
  }

  /** Takes the bar away, so that a line can follow. */
  end(): void {
    if (this.#open) this.#out.write('\r\u001B[2K');
    this.#open = false;
  }

  #text({ name, fraction, details }: ProgressStep, leftMs: number | undefined): string {
    const parts = [
      name,
      ...(fraction === undefined ? [] : [bar(fraction)]),
      ...(leftMs === undefined ? [] : [`${durationText(leftMs, 0)} left`]),
      ...(details?.() ?? []),
    ];
    return printable(this.#clean(parts.join('  '))).replaceAll(/[\n\t]/g, ' ');
  }
}

function bar(fraction: number): string {
  const done = Math.min(1, Math.max(0, fraction));
  const filled = Math.round(done * barWidth);
  const percent = String(Math.floor(done * 100)).padStart(2);
  return `[${'█'.repeat(filled)}${'·'.repeat(barWidth - filled)}] ${percent} %`;
}
