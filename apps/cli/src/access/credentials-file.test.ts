import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { credentialsFileOf, readCredentials, writeCredentials, type Credentials } from './credentials-file.ts';

let directory = '';
let file = '';
const warnings: string[] = [];
const read = () => readCredentials(file, (text) => warnings.push(text));

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'strideiq-credentials-'));
  file = credentialsFileOf({ XDG_CONFIG_HOME: join(directory, 'config') });
  warnings.length = 0;
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const kept: Credentials = {
  version: 1,
  current: 'production',
  contexts: {
    production: { url: 'https://backup.example.com', key: 'siq_one', ca: '/etc/ca.pem' },
    lab: { url: 'http://127.0.0.1:8080', key: 'siq_two', allowPlainText: true },
  },
};

test('they stand where the XDG specification says', () => {
  expect(credentialsFileOf({ XDG_CONFIG_HOME: '/x', HOME: '/h' })).toBe('/x/strideiq/credentials.json');
  expect(credentialsFileOf({ HOME: '/h' })).toBe('/h/.config/strideiq/credentials.json');
  expect(credentialsFileOf({ XDG_CONFIG_HOME: '', HOME: '/h' })).toBe('/h/.config/strideiq/credentials.json');
  expect(credentialsFileOf({ XDG_CONFIG_HOME: 'relative', HOME: '/h' })).toBe('/h/.config/strideiq/credentials.json');
});

test('what was written is read again, by nobody else', () => {
  const mask = process.umask(0);
  try {
    writeCredentials(file, kept);
  } finally {
    process.umask(mask);
  }
  expect(read()).toEqual(kept);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(statSync(dirname(file)).mode & 0o777).toBe(0o700);
  expect(readdirSync(dirname(file))).toEqual(['credentials.json']);
  expect(warnings).toEqual([]);
});

test('a file that was open to others is closed by the next write, and told until then', () => {
  writeCredentials(file, kept);
  chmodSync(file, 0o644);
  expect(read()).toEqual(kept);
  expect(warnings).toEqual([expect.stringMatching(/can be read by others.*chmod 600/)]);
  writeCredentials(file, kept);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test('no file is nobody logged in', () => {
  expect(read()).toEqual({ version: 1, contexts: {} });
});

test.each(['', 'siq_secret', '{"version":2,"contexts":{}}', '{"version":1,"contexts":{"a":{"key":"siq_secret"}}}'])(
  '%j is told as unusable, and not repeated',
  (text) => {
    writeCredentials(file, kept);
    writeFileSync(file, text);
    expect(read).toThrow(expect.objectContaining({ code: 'CredentialsUnusable' }));
    expect(read).not.toThrow(/siq_secret/);
  },
);

test('a write that fails leaves what was there', () => {
  writeCredentials(file, kept);
  const before = readFileSync(file, 'utf8');
  expect(() => writeCredentials(join(file, 'below-a-file'), kept)).toThrow(
    expect.objectContaining({ code: 'CredentialsUnusable' }),
  );
  expect(readFileSync(file, 'utf8')).toBe(before);
});
