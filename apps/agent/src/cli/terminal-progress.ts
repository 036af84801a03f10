import prettyBytes from 'pretty-bytes';
import type { Progress } from '../progress/progress.ts';

const phases: Record<Progress['phase'], string> = {
  preparing: 'Preparing',
  dumping: 'Dumping',
  privileges: 'Reading owners and grants',
  storing: 'Storing the last bytes',
  reading: 'Reading back',
  restoring: 'Restoring',
  analyzing: 'Gathering statistics',
  comparing: 'Comparing',
  clearing: 'Clearing',
};

const barWidth = 24;

/** A bar that is redrawn on a terminal, and a plain line every ten seconds elsewhere. */
export class TerminalProgress {
  readonly #out: NodeJS.WriteStream;
  readonly #redacted: (text: string) => string;
  #drawnAt = 0;
  #phase: Progress['phase'] | undefined;
  #phaseBegan = 0;
  #open = false;

  constructor(out: NodeJS.WriteStream, redacted: (text: string) => string) {
    this.#out = out;
    this.#redacted = redacted;
  }

  show(progress: Progress): void {
    const now = performance.now();
    const newPhase = progress.phase !== this.#phase;
    if (newPhase) {
      this.#phase = progress.phase;
      this.#phaseBegan = now;
    }
    const everyMs = this.#out.isTTY ? 120 : 10_000;
    if (!newPhase && now - this.#drawnAt < everyMs) return;
    this.#drawnAt = now;
    const text = this.#redacted(this.#text(progress, (now - this.#phaseBegan) / 1000));
    if (this.#out.isTTY) {
      this.#out.write(`\r\u001B[2K${text.slice(0, Math.max(20, (this.#out.columns || 80) - 1))}`);
      this.#open = true;
    } else if (!newPhase || progress.phase === 'dumping' || progress.phase === 'restoring')
      this.#out.write(`${text}\n`);
  }

  /** Takes the bar away, so that a line can follow. */
  end(): void {
    if (this.#open) this.#out.write('\r\u001B[2K');
    this.#open = false;
  }

  #text({ phase, rawBytes, expectedRawBytes, bytes, rows, table }: Progress, seconds: number): string {
    const parts = [phases[phase]];
    if (expectedRawBytes) {
      // The size on disk only tells about how much SQL there will be: never say that it is done before it is.
      const done = Math.min(0.99, (rawBytes ?? 0) / expectedRawBytes);
      const filled = Math.round(done * barWidth);
      parts.push(
        `[${'█'.repeat(filled)}${'·'.repeat(barWidth - filled)}] ${String(Math.floor(done * 100)).padStart(2)} %`,
      );
    }
    if (rawBytes !== undefined) {
      parts.push(prettyBytes(rawBytes));
      if (bytes !== undefined && phase === 'dumping') parts.push(`→ ${prettyBytes(bytes)}`);
      if (seconds > 0.5) parts.push(`${prettyBytes(rawBytes / seconds)}/s`);
    }
    if (rows) parts.push(`${rows.toLocaleString('en')} rows`);
    if (table !== undefined) parts.push(table);
    return parts.join('  ');
  }
}
