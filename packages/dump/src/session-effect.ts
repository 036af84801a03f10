import { transactionStep } from './statements.ts';

/**
 * What a statement leaves behind in its session, for those that come after it.
 * - `none`: nothing.
 * - `setting`: the value of one setting, as pg_dump sets it.
 * - `transaction`: it begins or ends a transaction block.
 * - `unknown`: another role, a temporary table, or whatever a dump that pg_dump did not write may hold.
 */
export type SessionEffect =
  | { kind: 'none' }
  | { kind: 'setting'; name: string }
  | { kind: 'transaction'; step: 'begin' | 'end' }
  | { kind: 'unknown' };

const headBytes = 400;

/** As `_doSetFixedOutputState`, `_selectTablespace` and `_selectTableAccessMethod` in pg_backup_archiver.c write them. */
const setting = /^SET ([a-z_]+) = (?:'(?:[^'\\]|'')*'|"(?:[^"]|"")*"|[\w.]+)\s*;$/;
const configuration = /^SELECT pg_catalog\.set_config\('([a-z_]+)', '[^'\\]*', false\);$/;
/** SET statements of this form that change whose session it is. */
const identities = new Set(['role', 'session_authorization']);

const harmlessWords =
  /^(?:CREATE|ALTER|COMMENT ON|GRANT|REVOKE|SECURITY LABEL|COPY|REFRESH MATERIALIZED VIEW|INSERT INTO|DROP)\b/i;
const harmlessCall = /^SELECT (?:\* FROM )?pg_catalog\.(?:setval|lo_\w+|lowrite|pg_restore_\w+)\(/;
const temporary =
  /^CREATE\s+(?:OR\s+REPLACE\s+)?(?:(?:GLOBAL|LOCAL)\s+)?TEMP(?:ORARY)?\s|^CREATE[\sA-Z]+\s"?pg_temp|^CREATE[^'"$(]*(?:\/\*|--)/i;

/** @param sql one statement, from its first word on */
export function sessionEffect(sql: Buffer): SessionEffect {
  const head = sql.toString('latin1', 0, headBytes);
  const text = sql.length <= headBytes ? head : '';
  const name = (setting.exec(text) ?? configuration.exec(text))?.[1];
  if (name !== undefined) return identities.has(name) ? { kind: 'unknown' } : { kind: 'setting', name };
  if (harmlessWords.test(head)) return { kind: temporary.test(head) ? 'unknown' : 'none' };
  if (harmlessCall.test(head)) return { kind: 'none' };
  const step = text === '' ? undefined : transactionStep(sql);
  return step ? { kind: 'transaction', step } : { kind: 'unknown' };
}
