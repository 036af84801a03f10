import { expect, test } from 'vitest';
import { connectionOf } from './connection.ts';
import type { Credentials } from './credentials-file.ts';

const keyOf = (letter: string) => `siq_${letter.repeat(43)}`;
const credentials: Credentials = {
  version: 1,
  current: 'production',
  contexts: {
    production: { url: 'https://backup.example.com', key: keyOf('p'), ca: '/etc/ca.pem' },
    lab: { url: 'http://lab.example.com', key: keyOf('l'), allowPlainText: true },
  },
};
const nobody: Credentials = { version: 1, contexts: {} };

test('the current context is meant where nothing is named', () => {
  expect(connectionOf(credentials, {}, {})).toEqual({
    url: 'https://backup.example.com',
    key: keyOf('p'),
    ca: '/etc/ca.pem',
    context: 'production',
  });
});

test('--context goes before STRIDEIQ_CONTEXT, and before the environment altogether', () => {
  expect(connectionOf(credentials, {}, { STRIDEIQ_CONTEXT: 'lab' })).toMatchObject({ key: keyOf('l') });
  const env = { STRIDEIQ_CONTEXT: 'production', STRIDEIQ_URL: 'https://other.example.com', STRIDEIQ_KEY: keyOf('e') };
  expect(connectionOf(credentials, { context: 'lab' }, env)).toEqual({
    url: 'http://lab.example.com',
    key: keyOf('l'),
    context: 'lab',
  });
});

test('STRIDEIQ_URL and STRIDEIQ_KEY stand in for a login', () => {
  const env = { STRIDEIQ_URL: 'https://other.example.com/', STRIDEIQ_KEY: ` ${keyOf('e')}\n` };
  for (const held of [credentials, nobody]) {
    expect(connectionOf(held, {}, env)).toEqual({ url: 'https://other.example.com', key: keyOf('e') });
  }
});

test('STRIDEIQ_KEY alone is another key for the current context', () => {
  expect(connectionOf(credentials, {}, { STRIDEIQ_KEY: keyOf('e') })).toMatchObject({
    url: 'https://backup.example.com',
    key: keyOf('e'),
    ca: '/etc/ca.pem',
  });
});

test('a key that was kept goes to no other address than its own', () => {
  expect(connectionOf(credentials, {}, { STRIDEIQ_URL: 'https://backup.example.com/' })).toMatchObject({
    key: keyOf('p'),
    ca: '/etc/ca.pem',
  });
  for (const url of ['https://evil.example.com', 'https://backup.example.com:444', 'http://127.0.0.1']) {
    expect(() => connectionOf(credentials, {}, { STRIDEIQ_URL: url })).toThrow(
      expect.objectContaining({ code: 'NotLoggedIn' }),
    );
  }
});

test('plain text is allowed for the context that was made so, or by the option', () => {
  const env = { STRIDEIQ_URL: 'http://other.example.com', STRIDEIQ_KEY: keyOf('e') };
  expect(() => connectionOf(credentials, {}, env)).toThrow(expect.objectContaining({ code: 'PlainTextRefused' }));
  expect(connectionOf(credentials, { allowPlainText: true }, env)).toMatchObject({ url: 'http://other.example.com' });
});

test.each([
  ['nobody is logged in', nobody, {}, {}, 'NotLoggedIn'],
  ['a key without an address', nobody, {}, { STRIDEIQ_KEY: keyOf('e') }, 'NotLoggedIn'],
  ['an unknown context', credentials, { context: 'labor' }, {}, 'ContextUnknown'],
  ['a context by the name of what every object has', credentials, { context: 'constructor' }, {}, 'ContextUnknown'],
  ['a key that is none', nobody, {}, { STRIDEIQ_URL: 'https://a.b', STRIDEIQ_KEY: 'hunter2-hunter2' }, 'KeyUnusable'],
] as const)('%s is told', (_, held, options, env, code) => {
  expect(() => connectionOf(held, options, env)).toThrow(expect.objectContaining({ code }));
  expect(() => connectionOf(held, options, env)).not.toThrow(/hunter2|siq_e{43}/);
});
