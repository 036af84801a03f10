import { expect, test } from 'vitest';
import { isOfCron } from './left-out.ts';

const cron = { extensions: [{ name: 'pg_cron', version: '1.6' }] };
const toc = (type: string, name: string, more: { schema?: string } = {}) => ({ toc: { type, name, ...more } });

test.each([
  ['the extension', toc('EXTENSION', 'pg_cron')],
  ['what is said of it', toc('COMMENT', 'EXTENSION pg_cron')],
  ['its jobs', { table: { schema: 'cron', name: 'job' } }],
  ['a policy on them', toc('POLICY', 'job cron_job_policy', { schema: 'cron' })],
])('of pg_cron is %s, where it is there', (_, about) => {
  expect(isOfCron(about, cron)).toBe(true);
  expect(isOfCron(about, { extensions: [] })).toBe(false);
});

test.each([
  ['a table of another schema', { table: { schema: 'app', name: 'cron' } }],
  ['another extension', toc('EXTENSION', 'pg_cron_helper')],
  ['a table called so', toc('TABLE', 'EXTENSION pg_cron', { schema: 'app' })],
  ['nothing in particular', {}],
])('and %s is none of it', (_, about) => {
  expect(isOfCron(about, cron)).toBe(false);
});
