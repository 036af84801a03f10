import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The clock of one host, which a test sets: see other-clock.mjs. */
export class HostClock {
  readonly #directory = mkdtempSync(join(tmpdir(), 'strideiq-clock-'));
  readonly #file = join(this.#directory, 'offset');
  /** For the programs of that host. */
  readonly env = {
    NODE_OPTIONS: `--import=${new URL('other-clock.mjs', import.meta.url).href}`,
    STRIDEIQ_TEST_CLOCK: this.#file,
  };

  constructor(atMs: number) {
    this.set(atMs);
  }

  /** Goes on from there. */
  set(atMs: number): void {
    // Never read half written.
    writeFileSync(`${this.#file}.next`, String(atMs - Date.now()));
    renameSync(`${this.#file}.next`, this.#file);
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
