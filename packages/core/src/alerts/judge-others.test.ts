import { expect, test } from 'vitest';
import { judgeAgent, judgeCertificate, judgeChannel, judgeKey } from './judge-others.ts';

const minute = 60_000;
const day = 86_400_000;
const now = Date.parse('2026-01-14T12:00:00Z');
const agent = { id: '1', hostname: 'db1', isConnected: true, lastSeenAt: now, clockOffsetMs: 0 };

test('an agent that is away, and a clock that is off', () => {
  expect(judgeAgent(agent, now).map(({ holds }) => holds)).toEqual([false, false]);
  const away = judgeAgent(
    { ...agent, isConnected: false, lastSeenAt: now - 5 * minute, clockOffsetMs: undefined },
    now,
  );
  expect(away).toMatchObject([{ holds: true, text: 'db1 was seen last 5 min 00 s ago.' }, { holds: 'unknown' }]);
  const off = judgeAgent({ ...agent, clockOffsetMs: -2 * minute }, now)[1];
  expect(off).toMatchObject({ rule: 'clockOff', holds: true, text: 'The clock of db1 is 2 min 00 s behind.' });
});

test('a key and a certificate that are about to expire', () => {
  const key = { id: 'k', name: 'ci', expiresAt: now + 13 * day };
  expect(judgeKey(key, now)).toMatchObject({ holds: true, text: 'The key ci is good for 13 days 0 h more.' });
  expect(judgeKey({ ...key, expiresAt: now + 15 * day }, now).holds).toBe(false);
  expect(judgeKey({ ...key, expiresAt: now - 1 }, now).holds).toBe(false);
  expect(judgeKey({ ...key, expiresAt: null }, now).holds).toBe(false);
  const certificate = { file: '/etc/tls.pem', validTo: now + day };
  expect(judgeCertificate(certificate, now).holds).toBe(true);
  expect(judgeCertificate({ ...certificate, validTo: now - day }, now).text).toContain('is over');
  expect(judgeCertificate({ ...certificate, validTo: now + 60 * day }, now).holds).toBe(false);
});

test('a channel that does not work', () => {
  expect(judgeChannel({ name: 'mail', failing: 'it is closed' })).toMatchObject({
    holds: true,
    text: 'mail: it is closed',
  });
  expect(judgeChannel({ name: 'mail', failing: undefined }).holds).toBe(false);
});
