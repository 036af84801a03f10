import { expect, test } from 'vitest';
import { newKeyText } from '../keys/api-keys.ts';
import { openLog } from './open-log.ts';

test('lines are JSON, and no secret stands in any of them, wherever it was', () => {
  const lines: string[] = [];
  const secrets = new Set(['own "secret"\\key']);
  const log = openLog({ level: 'info', secrets, destination: { write: (line) => lines.push(line) } });
  const key = newKeyText();
  const credential = key.replace('siq_', 'siqa_');
  const token = key.replace('siq_', 'siqe_');
  const signed = `https://b.s3.amazonaws.com/a?X-Amz-Credential=AKIA%2F2026&X-Amz-Signature=0123abcd&X-Amz-Expires=60`;
  log.info({ runId: 'r1', deep: { headers: [`Bearer ${key}`] } }, `by ${credential}`);
  log.error({ err: new Error(`token ${token} failed at ${signed}`, { cause: new Error('own "secret"\\key') }) }, 'x');
  log.debug({}, 'below the level');
  expect(lines).toHaveLength(2);
  const said = lines.join('');
  for (const secret of [key, credential, token, '0123abcd', 'AKIA', 'own ']) expect(said).not.toContain(secret);
  const [first, second] = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(first).toMatchObject({ level: 'info', runId: 'r1', msg: 'by ***', deep: { headers: ['Bearer ***'] } });
  expect(first?.['time']).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/);
  expect(second).toMatchObject({ level: 'error', msg: 'x' });
  expect(said).toContain('X-Amz-Expires=60');
});
