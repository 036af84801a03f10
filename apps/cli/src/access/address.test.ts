import { expect, test } from 'vitest';
import { addressOf } from './address.ts';

const of = (said: string, allowPlainText = false) => addressOf(said, { allowPlainText });

test.each([
  ['https://backup.example.com', 'https://backup.example.com'],
  ['https://backup.example.com/', 'https://backup.example.com'],
  ['https://example.com/strideiq//', 'https://example.com/strideiq'],
  ['backup.example.com', 'https://backup.example.com'],
  ['backup.example.com:8443', 'https://backup.example.com:8443'],
  ['localhost:8080', 'http://localhost:8080'],
  ['127.0.0.1:8080', 'http://127.0.0.1:8080'],
  ['http://[::1]:8080', 'http://[::1]:8080'],
  ['HTTPS://Backup.Example.com', 'https://backup.example.com'],
])('%s is %s', (said, address) => expect(of(said)).toBe(address));

test.each(['', 'ftp://backup.example.com', 'https://', 'not a url', 'file:///etc/passwd'])('%j is no address', (said) =>
  expect(() => of(said)).toThrow(expect.objectContaining({ code: 'AddressWrong' })),
);

test('plain text beyond this machine is refused unless it is asked for by name', () => {
  expect(() => of('http://backup.example.com')).toThrow(expect.objectContaining({ code: 'PlainTextRefused' }));
  expect(() => of('http://localhost.example.com')).toThrow(expect.objectContaining({ code: 'PlainTextRefused' }));
  expect(of('http://backup.example.com', true)).toBe('http://backup.example.com');
});

test('a key in the address is refused, and not repeated', () => {
  for (const said of ['https://siq_secret@host', 'https://user:siq_secret@host', 'https://host/?key=siq_secret']) {
    expect(() => of(said)).toThrow(expect.objectContaining({ code: 'AddressWrong' }));
    expect(() => of(said)).not.toThrow(/siq_secret/);
  }
});
