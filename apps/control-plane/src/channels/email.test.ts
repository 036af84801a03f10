import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { waitFor } from '@strideiq/testkit';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { hostileText, largestNotice, notice } from '../testing/notices.ts';
import { ChannelFailed } from './channel-failed.ts';
import type { Notice } from './notice.ts';
import { openChannel } from './open-channel.ts';
import { channelsSchema } from './schema.ts';

interface Mail {
  from: string;
  to: string[];
  user: string | undefined;
  secure: boolean;
  raw: string;
}

let directory: string;
let pem: { key: string; cert: string };
let server: SMTPServer | undefined;
let port = 0;
const mails: Mail[] = [];

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'strideiq-mail-'));
  const files = ['-keyout', join(directory, 'key.pem'), '-out', join(directory, 'ca.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...files, ...subject], { stdio: 'pipe' });
  pem = {
    key: readFileSync(join(directory, 'key.pem'), 'utf8'),
    cert: readFileSync(join(directory, 'ca.pem'), 'utf8'),
  };
  writeFileSync(join(directory, 'password'), 'a good password\n');
});
afterEach(async () => {
  mails.length = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  if (server) server.close(resolve);
  else resolve();
  await promise;
  server = undefined;
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** A mail server on loopback that keeps what it takes. */
async function serve(more: SMTPServerOptions = {}): Promise<void> {
  server = new SMTPServer({
    ...pem,
    authOptional: false,
    logger: false,
    onAuth: ({ username, password }, _, done) =>
      password === 'a good password' ? done(null, { user: username }) : done(new Error('Invalid login')),
    onData: (stream, { envelope, user, secure }, done) => {
      const { mailFrom, rcptTo } = envelope;
      const from = mailFrom === false ? '' : mailFrom.address;
      const to = rcptTo.map(({ address }) => address);
      stream.once('end', done);
      void text(stream).then((raw) => mails.push({ from, to, user, secure, raw }));
    },
    ...more,
  });
  const listener = server.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  ({ port } = listener.address() as AddressInfo);
}

const smtp = (more: object = {}) => ({
  host: 'localhost',
  port,
  user: 'strideiq',
  passwordFile: join(directory, 'password'),
  caFile: join(directory, 'ca.pem'),
  ...more,
});

/** A mail is kept a moment after it is taken. */
const kept = async (count: number) => waitFor('the mails', () => mails.length === count);

async function send(
  what: Notice = notice(),
  more: object = {},
  to = ['team@example.com', 'boss@example.com'],
): Promise<void> {
  const { mail } = channelsSchema.parse({ mail: { type: 'email', from: 'backup@example.com', to, smtp: smtp(more) } });
  if (!mail) throw new Error('it is there');
  const channel = openChannel('mail', mail, { env: {}, now: Date.now, secrets: new Set(), allowPlainText: false });
  await channel.send(what, AbortSignal.timeout(60_000));
}
async function failure(more: object = {}): Promise<ChannelFailed> {
  const error = await send(notice(), more).catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(ChannelFailed);
  return error as ChannelFailed;
}

/** Headers of a mail (RFC 5322), unfolded. */
function headersOf({ raw }: Mail): Record<string, string> {
  const [head = ''] = raw.split('\r\n\r\n');
  const lines = head.replaceAll(/\r\n[ \t]+/g, ' ').split('\r\n');
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)]),
  );
}

/** Its parts, decoded. */
function partsOf({ raw }: Mail): string {
  const boundary = /boundary="([^"]+)"/.exec(raw)?.[1] ?? '';
  return raw
    .split(`--${boundary}`)
    .slice(1)
    .map((part) => {
      const [head = '', ...body] = part.split('\r\n\r\n');
      const content = body.join('\r\n\r\n');
      if (/base64/i.test(head)) return Buffer.from(content, 'base64').toString();
      if (!/quoted-printable/i.test(head)) return content;
      const bytes = content
        .replaceAll(/=\r\n/g, '')
        .replaceAll(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCodePoint(Number.parseInt(hex, 16)));
      return Buffer.from(bytes, 'latin1').toString();
    })
    .join('\n');
}

describe('a mail', () => {
  test('arrives encrypted and logged in, as text and as HTML, says all there is to say, and answers nobody', async () => {
    await serve();
    await send();
    await kept(1);
    const [mail = expect.unreachable()] = mails;
    expect(mail).toMatchObject({
      from: 'backup@example.com',
      to: ['team@example.com', 'boss@example.com'],
      user: 'strideiq',
      secure: true,
    });
    expect(headersOf(mail)).toMatchObject({
      subject: '[CRITICAL] No backup: app (production)',
      from: 'backup@example.com',
      // RFC 3834, 5.
      'auto-submitted': 'auto-generated',
      'message-id': `<${notice().id}@strideiq.example.com>`,
    });
    const parts = partsOf(mail);
    for (const words of [
      'The last one is 26 h old. Since 2026-01-11 03:00 UTC, for 2 h',
      'What it means',
      'Take one now.',
      'https://backup.example.com/alerts',
    ])
      expect(parts.split(words).length).toBeGreaterThanOrEqual(3);
    expect(mail.raw).toContain('text/html');
  });

  test('is one thread with the others of the same trouble', async () => {
    await serve();
    await send();
    await send(notice({ id: '0197f2a0-0000-7000-8000-000000000002', kind: 'resolved' }));
    await kept(2);
    const [one, two] = mails.map(headersOf);
    expect(one?.['references']).toBe(two?.['references']);
    expect(one?.['message-id']).not.toBe(two?.['message-id']);
  });

  test('holds nothing but what it is to hold, whatever somebody has called a database', async () => {
    await serve();
    await send(largestNotice({ table: { head: ['A'], rows: [[hostileText]] } }));
    await kept(1);
    const [mail = expect.unreachable()] = mails;
    const headers = headersOf(mail);
    expect(Object.keys(headers)).not.toContain('bcc');
    expect(mail.to).toEqual(['team@example.com', 'boss@example.com']);
    const html = partsOf(mail).split('<!doctype html>')[1] ?? '';
    expect(html).not.toContain('<b>&"');
    expect(html).toContain('&lt;/script&gt;&lt;b&gt;');
    for (const line of mail.raw.split('\r\n')) expect(line.length).toBeLessThanOrEqual(998);
  });

  test('goes over TLS from the first byte, or in the clear, where the configuration says so', async () => {
    await serve({ secure: true });
    await send(notice(), { tls: 'implicit' });
    await kept(1);
    expect(mails[0]?.secure).toBe(true);
    await new Promise<void>((resolve) => server?.close(resolve));
    await serve({ disabledCommands: ['STARTTLS'], authOptional: true });
    await send(notice(), { tls: 'none', user: undefined, passwordFile: undefined });
    await kept(2);
    expect(mails[1]).toMatchObject({ secure: false });
  });
});

describe('what does not arrive', () => {
  test('a server that offers no encryption gets no password', async () => {
    let asked = false;
    await serve({
      disabledCommands: ['STARTTLS'],
      onAuth: (_, __, done) => {
        asked = true;
        done(null, { user: 'x' });
      },
    });
    expect((await failure()).message).toContain('localhost did not take the mail');
    expect(asked).toBe(false);
    expect(mails).toEqual([]);
  });

  test('a certificate that nobody vouches for', async () => {
    await serve();
    expect((await failure({ caFile: undefined })).isWorthAnother).toBe(true);
  });

  test('a login that is refused is for the configuration, and the password is told nowhere', async () => {
    await serve({ onAuth: ({ password }, _, done) => done(new Error(`Invalid password ${password}`)) });
    const error = await failure();
    expect(error.isWorthAnother).toBe(false);
    expect(error.message).not.toContain('a good password');
  });

  test('one address that is refused is told, and the others have it', async () => {
    await serve({
      onRcptTo: ({ address }, _, done) =>
        address === 'boss@example.com' ? done(Object.assign(new Error('no such user'), { responseCode: 550 })) : done(),
    });
    const error = await failure();
    expect(error).toMatchObject({
      isWorthAnother: false,
      message: expect.stringContaining('boss@example.com') as string,
    });
    await kept(1);
    expect(mails[0]?.to).toEqual(['team@example.com']);
  });

  test.each([
    [451, true],
    [554, false],
  ])('an answer of %i: worth another attempt is %s', async (responseCode, isWorthAnother) => {
    await serve({
      onData: (stream, _, done) => {
        stream.resume();
        stream.once('end', () => done(Object.assign(new Error('not now'), { responseCode })));
      },
    });
    expect((await failure()).isWorthAnother).toBe(isWorthAnother);
  });

  test('a server that is not there', async () => {
    await serve();
    await new Promise<void>((resolve) => server?.close(resolve));
    server = undefined;
    expect((await failure()).isWorthAnother).toBe(true);
  });
});
