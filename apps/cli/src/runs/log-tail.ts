import type { LogLine } from '@strideiq/control-plane/router';
import type { Client } from '../connection/client.ts';

/** As many as one page may hold. */
const pageSize = 200;

/** Reads what a run has told, each line once. */
export class LogTail {
  readonly #client: Client;
  readonly #runId: string;
  #cursor: string | undefined;
  /** The run has ended, and its last line was read. */
  #over = false;

  constructor(client: Client, runId: string) {
    this.#client = client;
    this.#runId = runId;
  }

  /** The lines that have come since the last call. */
  async next(): Promise<LogLine[]> {
    const lines: LogLine[] = [];
    while (!this.#over) {
      const page = await this.#client.runs.log.query({
        runId: this.#runId,
        limit: pageSize,
        ...(this.#cursor === undefined ? {} : { cursor: this.#cursor }),
      });
      lines.push(...page.items);
      this.#over = page.nextCursor === null;
      this.#cursor = page.nextCursor ?? this.#cursor;
      if (page.items.length < pageSize) break;
    }
    return lines;
  }
}
