import { expect, test } from 'vitest';
import { Output, type OutputOptions } from './output.ts';

function captured(options: Partial<OutputOptions> = {}) {
  const said = { stdout: '', stderr: '' };
  const output = new Output({
    json: false,
    quiet: false,
    secrets: new Set(),
    stdout: { write: (text) => (said.stdout += text) },
    stderr: { write: (text) => (said.stderr += text), isTTY: true, columns: 80 },
    ...options,
  });
  return { output, said };
}

test('results stand on standard output, everything else on standard error', () => {
  const { output, said } = captured();
  output.note('a note');
  output.warn('careful');
  output.problem('one part failed');
  output.result({ id: 1 }, 'Backup 1');
  output.failure('Broken', 'It broke.');
  expect(said).toEqual({
    stdout: 'Backup 1\n',
    stderr: 'a note\nwarning: careful\nerror: one part failed\nerror: It broke.\n',
  });
});

test('--json: one document on standard output, for a failure too', () => {
  const done = captured({ json: true });
  done.output.progress({ name: 'Dumping' });
  done.output.result({ id: 1 }, 'Backup 1');
  expect(JSON.parse(done.said.stdout)).toEqual({ id: 1 });
  expect(done.said.stderr).toBe('');

  const failed = captured({ json: true });
  failed.output.failure('Broken', 'It broke.', { copies: [] });
  expect(JSON.parse(failed.said.stdout)).toEqual({ error: { code: 'Broken', message: 'It broke.' }, copies: [] });
});

test('--json: items are a line each', () => {
  const { output, said } = captured({ json: true });
  output.item({ at: 1, text: 'a\nb' }, 'one');
  output.item({ at: 2 }, 'two');
  expect(said.stdout).toBe('{"at":1,"text":"a\\nb"}\n{"at":2}\n');
});

test('--quiet leaves warnings and errors, and what programs read', () => {
  const { output, said } = captured({ quiet: true });
  output.note('a note');
  output.progress({ name: 'Dumping' });
  output.item({}, 'an item');
  output.result({}, 'Backup 1');
  output.warn('careful');
  output.failure('Broken', 'It broke.');
  expect(said).toEqual({ stdout: '', stderr: 'warning: careful\nerror: It broke.\n' });

  const programs = captured({ quiet: true, json: true });
  programs.output.result({ id: 1 }, 'Backup 1');
  expect(JSON.parse(programs.said.stdout)).toEqual({ id: 1 });
});

test('a bar is taken away before a line follows', () => {
  const { output, said } = captured();
  output.progress({ name: 'Dumping' });
  output.note('a note');
  expect(said.stderr).toBe('\r\u001B[2KDumping\r\u001B[2Ka note\n');
});

test('every secret is blotted out everywhere, those too that are learnt on the way', () => {
  const secrets = new Set(['hunter22']);
  const text = captured({ secrets });
  secrets.add('siq_abcdef');
  text.output.note('hunter22 siq_abcdef');
  text.output.progress({ name: 'Dumping', details: () => ['hunter22'] });
  text.output.result({}, 'with hunter22');
  text.output.failure('Broken', 'siq_abcdef is wrong');
  expect(`${text.said.stdout}${text.said.stderr}`).not.toMatch(/hunter22|siq_abcdef/);
  expect(text.said.stdout).toBe('with ***\n');

  const json = captured({ secrets, json: true });
  json.output.result({ deep: [{ text: 'a hunter22 b' }], hunter22: 1 }, '');
  expect(json.said.stdout).not.toContain('hunter22');
  expect(JSON.parse(json.said.stdout)).toEqual({ deep: [{ text: 'a *** b' }], '***': 1 });
});

test('a secret that JSON spells otherwise, and one that holds another', () => {
  const awkward = 'pa"ss\\wörd';
  const json = captured({ json: true, secrets: new Set([awkward, 'part', 'part-of-it']) });
  json.output.failure('Broken', `with ${awkward} and part-of-it`);
  expect(JSON.parse(json.said.stdout)).toEqual({ error: { code: 'Broken', message: 'with *** and ***' } });
});

test('what is too short to be a secret blots nothing out', () => {
  const { output, said } = captured({ secrets: new Set(['', 'a', 'app']) });
  output.result({}, 'an app');
  expect(said.stdout).toBe('an app\n');
});

test('control signs of foreign names are shown, and lines of ours stay lines', () => {
  const { output, said } = captured();
  output.result({}, 'one\ttwo\nthree \u001B[31mred\u009B\r');
  expect(said.stdout).toBe(`one\ttwo\nthree ${String.raw`\u001b[31mred\u009b\u000d`}\n`);
});
