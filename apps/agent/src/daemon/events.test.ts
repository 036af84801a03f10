import { expect, test } from 'vitest';
import { eventLines, type EventLineOptions } from './events.ts';

function said(options: Partial<EventLineOptions>): string[] {
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  const secrets = new Set(['hunter22']);
  const events = eventLines({ json: false, quiet: false, secrets, now: () => 0, write, ...options });
  events.info('backup begins', { runId: 'r1', commandId: 'c1' });
  events.warn('the password hunter22\n  is \u001b[31mwrong');
  events.error('it broke');
  return lines;
}

test('each event is a line, with its run, without secrets and without power over a terminal', () => {
  expect(said({})).toEqual([
    '1970-01-01T00:00:00.000Z info  run r1: backup begins\n',
    '1970-01-01T00:00:00.000Z warn  the password *** is \\u001b[31mwrong\n',
    '1970-01-01T00:00:00.000Z error it broke\n',
  ]);
});

test('--json makes each a document of its own', () => {
  const at = '1970-01-01T00:00:00.000Z';
  expect(said({ json: true }).map((line) => JSON.parse(line) as unknown)).toEqual([
    { at, level: 'info', runId: 'r1', commandId: 'c1', text: 'backup begins' },
    { at, level: 'warn', text: 'the password ***\n  is \u001b[31mwrong' },
    { at, level: 'error', text: 'it broke' },
  ]);
});

test('--quiet leaves warnings and errors', () => {
  expect(said({ quiet: true }).length).toBe(2);
});
