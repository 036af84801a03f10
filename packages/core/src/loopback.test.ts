import { expect, test } from 'vitest';
import { isLoopback } from './loopback.ts';

test.each(['localhost', 'LOCALHOST', 'backup.localhost', '127.0.0.1', '127.1.2.3', '::1', '[::1]'])(
  '%s is this machine',
  (hostname) => expect(isLoopback(hostname)).toBe(true),
);

test.each([
  'backup.example.com',
  'localhost.example.com',
  'notlocalhost',
  '127.0.0.1.example.com',
  '128.0.0.1',
  '0.0.0.0',
  '::2',
  '.localhost',
  '',
])('%s is not', (hostname) => expect(isLoopback(hostname)).toBe(false));
