import { newId, newSigningKey } from '@strideiq/core';
import { enrolPath, enrolRequestSchema, isEnrolmentProof } from '@strideiq/protocol';
import { startTcpProxy } from '@strideiq/testkit';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AgentError } from '../errors.ts';
import { credentialVersion, isEnrolled, loadCredential, saveCredential } from './credential.ts';
import { enrol, type Enrolling } from './enrol.ts';

let directory = '';
let server: Server | undefined;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'strideiq-enrol-'));
});
afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
  server = undefined;
  rmSync(directory, { recursive: true, force: true });
});

/** A control plane, as far as it enrols. */
async function serve(answer: RequestListener): Promise<string> {
  server = createServer(answer);
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const key = newSigningKey();
const answered = { agentId: newId(Date.now()), environment: 'test', credential: 'a-credential-of-this-host' };
const enrolling = (url: string, more: Partial<Enrolling> = {}): Enrolling => ({
  url,
  token: 'one-time',
  environment: 'test',
  hostname: 'db1',
  agentVersion: '0.1.0',
  key,
  allowPlainText: false,
  signal: new AbortController().signal,
  ...more,
});
const json = (status: number, body: unknown): RequestListener => {
  return (_, response) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
};

test('a token and the proof of the key are traded for a credential', async () => {
  let seen: { url?: string; method?: string; body: string } = { body: '' };
  const url = await serve((request, response) => {
    let body = '';
    request.on('data', (piece: Buffer) => (body += piece.toString()));
    request.on('end', () => {
      seen = { url: request.url ?? '', method: request.method ?? '', body };
      json(200, answered)(request, response);
    });
  });
  expect(await enrol(enrolling(`${url}/`))).toEqual({ url, ...answered });
  const request = enrolRequestSchema.parse(JSON.parse(seen.body));
  expect(seen).toMatchObject({ url: enrolPath, method: 'POST' });
  expect(request).toMatchObject({
    token: 'one-time',
    environment: 'test',
    hostname: 'db1',
    publicKeyPem: key.publicPem,
  });
  expect(isEnrolmentProof(request.proof, 'one-time', key.publicPem)).toBe(true);
  expect(seen.body).not.toContain('PRIVATE');
});

describe('is refused in words that tell what to do', () => {
  const problem = (code: string, status: number) => json(status, { code, status, detail: `It said: ${code}.` });

  test.each([
    ['a wrong token', problem('TokenInvalid', 401), 'TokenInvalid', /It said: TokenInvalid/],
    ['another environment', problem('EnvironmentMismatch', 409), 'EnvironmentMismatch', /It said/],
    ['anything else that it says', problem('RateLimited', 429), 'ControlPlaneInvalid', /RateLimited.*It said/],
    [
      'a server of another kind',
      (_, response) => response.writeHead(404).end('<html>'),
      'ControlPlaneInvalid',
      /no control plane/,
    ],
    ['one that says yes and gives nothing', json(200, {}), 'ControlPlaneInvalid', /without a credential/],
    [
      'one that points elsewhere',
      (_, response) => response.writeHead(307, { location: 'http://127.0.0.1:1/agent/enrol' }).end(),
      'ControlPlaneInvalid',
      /answered 307/,
    ],
    [
      'one that does not stop talking',
      (_, response) => response.writeHead(200).end('x'.repeat(200_000)),
      'ControlPlaneUnreachable',
      /more than/,
    ],
  ] as [string, RequestListener, string, RegExp][])('%s', async (_, answer, code, message) => {
    await expect(enrol(enrolling(await serve(answer)))).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message) as string,
    });
  });

  test('nobody there', async () => {
    const proxy = await startTcpProxy({ to: { host: '127.0.0.1', port: 1 } });
    const { port } = proxy;
    await proxy.stop();
    await expect(enrol(enrolling(`http://127.0.0.1:${port}`))).rejects.toMatchObject({
      code: 'ControlPlaneUnreachable',
    });
  });

  test.each(['backup.example.com', 'ftp://backup.example.com', ''])('no address: %j', async (url) => {
    await expect(enrol(enrolling(url))).rejects.toMatchObject({ code: 'UsageInvalid' });
  });

  test('plain text to another host, before anything is sent', async () => {
    await expect(enrol(enrolling('http://backup.example.com'))).rejects.toMatchObject({ code: 'PlainTextRefused' });
  });
});

test('an interrupt ends the wait', async () => {
  const interruption = new AbortController();
  const url = await serve(() => interruption.abort(new AgentError('Interrupted', 'Ctrl-C.')));
  const { signal } = interruption;
  await expect(enrol(enrolling(url, { signal }))).rejects.toMatchObject({ code: 'Interrupted' });
});

describe('the credential', () => {
  const credential = { url: 'https://backup.example.com', ...answered };

  test('is kept for its owner alone, whole, and known as a secret', () => {
    const secrets = new Set<string>();
    const stateDir = join(directory, 'made', 'by', 'it');
    expect([isEnrolled(stateDir), loadCredential(stateDir, secrets), credentialVersion(stateDir)]).toEqual([
      false,
      undefined,
      undefined,
    ]);
    saveCredential(stateDir, credential);
    expect(isEnrolled(stateDir)).toBe(true);
    expect(loadCredential(stateDir, secrets)).toEqual(credential);
    expect([...secrets]).toEqual([credential.credential]);
    expect(statSync(join(stateDir, 'credential.json')).mode & 0o777).toBe(0o600);
    const first = credentialVersion(stateDir);
    saveCredential(stateDir, { ...credential, credential: 'the next' });
    expect(credentialVersion(stateDir)).not.toBe(first);
    expect(readdirSync(stateDir)).toEqual(['credential.json']);
  });

  test.each(['', '{"url": "x"}', 'null'])('that is none is told: %j', (text) => {
    writeFileSync(join(directory, 'credential.json'), text);
    expect(() => loadCredential(directory, new Set())).toThrow(
      expect.objectContaining({ code: 'StateUnusable' }) as Error,
    );
    expect(readFileSync(join(directory, 'credential.json'), 'utf8')).toBe(text);
  });
});
