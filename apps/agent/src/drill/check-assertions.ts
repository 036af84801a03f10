import type { QueryArrayResult } from 'pg';
import type { DrillConfiguration } from '../configuration/index.ts';
import { AgentError } from '../errors.ts';
import type { Connection } from '../postgres/connect.ts';

/**
 * Asks the host's own assertions of a restored database: every row of each has to begin with true.
 * @throws AgentError `AssertionFailed` with each that did not hold, and how
 */
export async function checkAssertions(
  connection: Connection,
  { assertions, assertionLimitMs }: Pick<DrillConfiguration, 'assertions' | 'assertionLimitMs'>,
): Promise<void> {
  const failures: string[] = [];
  for (const { name, sql } of assertions) {
    const failure = await ask(connection, sql, assertionLimitMs);
    if (failure !== undefined) failures.push(`${name}: ${failure}`);
  }
  if (failures.length === 0) return;
  throw new AgentError(
    'AssertionFailed',
    `Of ${assertions.length} assertions on the restored database ${failures.length} did not hold: ${failures.join('; ')}.`,
    'The backup was restored whole; look at what it holds by restoring it into a new database.',
  );
}

/** @returns why it does not hold */
async function ask(connection: Connection, sql: string, limitMs: number): Promise<string | undefined> {
  try {
    await connection.query(
      `BEGIN READ ONLY; SET LOCAL statement_timeout = ${limitMs}; SET LOCAL search_path TO DEFAULT`,
    );
    // Of several statements the last one is the question.
    const answers: QueryArrayResult | QueryArrayResult[] = await connection.query({ text: sql, rowMode: 'array' });
    const { rows } = [answers].flat().at(-1) ?? { rows: [] };
    if (rows.length === 0) return 'it gave no row';
    const wrong = rows.find(([first]) => first !== true);
    return wrong ? `it gave ${JSON.stringify(wrong[0] ?? null)}` : undefined;
  } catch (error) {
    // A server or a line that goes away says nothing of what the database holds (PostgreSQL docs, appendix A: 08 and 57P).
    const isAnswer = error instanceof Error && 'code' in error && /^(?!08|57P)[0-9A-Z]{5}$/.test(String(error.code));
    if (!isAnswer) throw error;
    return error.message;
  } finally {
    await connection.query('ROLLBACK').catch(() => undefined);
  }
}
