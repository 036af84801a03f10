import { parseQualifiedName } from './copy-header.ts';

/** The last value of a sequence as the dump sets it. */
export interface SequenceValue {
  schema: string;
  name: string;
  /** As text, since it may pass 2^53. */
  lastValue: string;
  /** False where the next value handed out is `lastValue` itself. */
  isCalled: boolean;
}

const setval = /^SELECT\s+pg_catalog\.setval\((E)?'((?:[^']|'')*)', (-?\d+), (true|false)\)\s*;$/;

/** Reads a setval as `dumpSequenceData` in pg_dump.c writes it; undefined for any other statement. */
export function parseSetval(statement: Buffer, clientEncoding: string): SequenceValue | undefined {
  const [, escaped, literal, lastValue, isCalled] = setval.exec(statement.toString('latin1')) ?? [];
  if (literal === undefined || lastValue === undefined) return undefined;
  const unquoted = literal.replaceAll("''", "'");
  const sequence = parseQualifiedName(escaped ? unquoted.replaceAll('\\\\', '\\') : unquoted, clientEncoding);
  if (!sequence) return undefined;
  return { schema: sequence.schema ?? '', name: sequence.name, lastValue, isCalled: isCalled === 'true' };
}

/** Whether a statement begins or ends a transaction block, in which a dump puts its large objects. */
export function transactionStep(statement: Buffer): 'begin' | 'end' | undefined {
  const words = statement.toString('latin1').trim().replaceAll(/\s+/g, ' ').toUpperCase();
  if (/^(?:BEGIN|START TRANSACTION)(?: [A-Z ]+)?;$/.test(words)) return 'begin';
  return /^(?:COMMIT|END|ROLLBACK|ABORT)(?: (?:WORK|TRANSACTION))?;$/.test(words) ? 'end' : undefined;
}
