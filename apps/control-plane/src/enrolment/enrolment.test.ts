import { newSigningKey } from '@strideiq/core';
import { enrolmentProof, type EnrolRequest } from '@strideiq/protocol';
import { waitFor } from '@strideiq/testkit';
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { brokenAuditEntry } from '../audit/audit.ts';
import { agents, audit, enrolTokens, environments } from '../catalog/schema.ts';
import { startGateway, type TestGateway } from '../testing/gateway.ts';
import { TestHost } from '../testing/host.ts';
import { rowsOf } from '../testing/tables.ts';
import { handleEnrol } from './handle-enrol.ts';

let gateway: TestGateway;
beforeEach(async () => {
  gateway = await startGateway();
});
afterEach(async () => await gateway.stop());

const minuteMs = 60_000;
const key = newSigningKey();

function requestWith(token: string, more: Partial<EnrolRequest> = {}, by = key): EnrolRequest {
  return {
    token,
    environment: 'production',
    hostname: 'db1',
    agentVersion: '0.1.0',
    publicKeyPem: by.publicPem,
    proof: enrolmentProof(token, by.privatePem),
    ...more,
  };
}

const tokenFor = (environment: string) => gateway.enrolment.createToken({ environment, by: 'key-1' });
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

describe('a token', () => {
  test('is kept as its hash, makes its environment once, and is written in the audit without being told there', () => {
    const { token, expiresAt } = tokenFor('production');
    expect(token).toMatch(/^siqe_[\w-]{43}$/);
    expect(expiresAt).toBe(gateway.now() + 15 * minuteMs);
    expect(tokenFor('production').token).not.toBe(token);
    expect(gateway.catalog.select().from(environments).all()).toEqual([
      { name: 'production', createdAt: gateway.now() },
    ]);
    expect(gateway.catalog.select().from(enrolTokens).all()).toHaveLength(2);
    expect(gateway.catalog.select().from(audit).all()).toMatchObject([
      { actor: 'key-1', action: 'enrol-token.create', environment: 'production', detail: { made: true } },
      { actor: 'key-1', action: 'enrol-token.create', environment: 'production' },
    ]);
    const everything = JSON.stringify(rowsOf(gateway.catalog));
    expect(everything).not.toContain(token);
    expect(everything).toContain(sha256(token));
  });

  test.each(['', 'a b', '../x', 'x'.repeat(101), '-x', 'ä'])('is none for the environment %j', (environment) => {
    expect(() => tokenFor(environment)).toThrow(expect.objectContaining({ code: 'InputInvalid' }));
    expect(gateway.catalog.select().from(environments).all()).toEqual([]);
  });
});

describe('enrolling', () => {
  test('gives a credential once, of which the hash alone is kept', () => {
    const { token } = tokenFor('production');
    const answer = handleEnrol(gateway.enrolment, requestWith(token));
    expect(answer).toMatchObject({ environment: 'production' });
    expect(answer.credential).toMatch(/^siqa_[\w-]{43}$/);
    const everything = JSON.stringify(rowsOf(gateway.catalog));
    expect(everything).not.toContain(answer.credential);
    expect(gateway.catalog.select().from(agents).all()).toMatchObject([
      { id: answer.agentId, hostname: 'db1', publicKeyPem: key.publicPem, credentialHash: sha256(answer.credential) },
    ]);
    expect(gateway.catalog.select().from(audit).all()).toMatchObject([
      {},
      {
        actor: `agent:${answer.agentId}`,
        action: 'agent.enrol',
        environment: 'production',
        subject: answer.agentId,
        detail: { hostname: 'db1', again: false },
      },
    ]);
  });

  test('a token that is wrong, used or too old is refused in the same words, and changes nothing', () => {
    const used = tokenFor('production').token;
    gateway.enrolment.enrol(requestWith(used));
    const old = tokenFor('production').token;
    gateway.clock.now += 15 * minuteMs;
    const before = rowsOf(gateway.catalog);
    const said = [used, old, `${old}x`, 'nothing'].map((token) => {
      try {
        gateway.enrolment.enrol(requestWith(token));
      } catch (error) {
        const { code, message } = error as { code: string; message: string };
        return `${code}: ${message}`;
      }
      return 'enrolled';
    });
    expect(new Set(said)).toEqual(
      new Set(['TokenInvalid: The enrolment token is wrong, used already, or older than 15 minutes.']),
    );
    expect(rowsOf(gateway.catalog)).toEqual(before);
  });

  test('is possible to the last moment of the token', () => {
    const { token, expiresAt } = tokenFor('production');
    gateway.clock.now = expiresAt - 1;
    expect(gateway.enrolment.enrol(requestWith(token)).environment).toBe('production');
  });

  test('into another environment than the token is for is refused, and the token stays good', () => {
    const { token } = tokenFor('staging');
    const before = rowsOf(gateway.catalog);
    expect(() => gateway.enrolment.enrol(requestWith(token))).toThrow(
      expect.objectContaining({
        code: 'EnvironmentMismatch',
        message: "The token is for the environment staging, and this host's file says production.",
      }),
    );
    expect(rowsOf(gateway.catalog)).toEqual(before);
    expect(gateway.enrolment.enrol(requestWith(token, { environment: 'staging' })).environment).toBe('staging');
  });

  test("another host's key is refused without its other half, and the token stays good", () => {
    const victim = gateway.enrolment.enrol(requestWith(tokenFor('production').token));
    const thief = newSigningKey();
    const { token } = tokenFor('production');
    const before = rowsOf(gateway.catalog);
    const proofs = [
      enrolmentProof(token, thief.privatePem),
      enrolmentProof(`${token}x`, key.privatePem),
      Buffer.from('none').toString('base64'),
    ];
    for (const proof of proofs) {
      expect(() => gateway.enrolment.enrol(requestWith(token, { proof }))).toThrow(
        expect.objectContaining({ code: 'InputInvalid' }),
      );
    }
    expect(() => gateway.enrolment.enrol(requestWith(token, { publicKeyPem: 'no key' }))).toThrow(
      expect.objectContaining({ code: 'InputInvalid' }),
    );
    expect(rowsOf(gateway.catalog)).toEqual(before);
    expect(gateway.enrolment.enrol(requestWith(token, {}, thief)).agentId).not.toBe(victim.agentId);
  });

  test('the same key again is the same agent: its old credential and its connection end', async () => {
    const host = new TestHost(gateway, 'production', 'db1').enrol();
    const { agentId, credential } = host;
    const link = await host.connect();
    host.enrol();
    expect(host.agentId).toBe(agentId);
    expect(host.credential).not.toBe(credential);
    await link.closed;
    expect(await host.open(credential).closed).toContain('401 CredentialInvalid');
    await (await host.connect()).close();
    expect(gateway.catalog.select().from(agents).all()).toHaveLength(1);
  });

  test('the same key in another environment is another agent', () => {
    const one = gateway.enrolment.enrol(requestWith(tokenFor('production').token));
    const other = gateway.enrolment.enrol(requestWith(tokenFor('staging').token, { environment: 'staging' }));
    expect(other.agentId).not.toBe(one.agentId);
  });

  test('by the same key in another spelling is known again', () => {
    const one = gateway.enrolment.enrol(requestWith(tokenFor('production').token));
    const { token } = tokenFor('production');
    const spelt = key.publicPem.replaceAll('\n', '\r\n');
    expect(gateway.enrolment.enrol(requestWith(token, { publicKeyPem: spelt })).agentId).toBe(one.agentId);
  });

  test.each([
    ['nothing', undefined],
    ['a text', 'token'],
    ['too little', { token: 'x' }],
    ['too long a name', requestWith('x', { hostname: 'x'.repeat(301) })],
  ])('with %s for a body is refused with what is wrong', (_, body) => {
    expect(() => handleEnrol(gateway.enrolment, body)).toThrow(expect.objectContaining({ code: 'InputInvalid' }));
  });
});

test('a revoked agent is cut off, and the same key can enrol again', async () => {
  const host = new TestHost(gateway, 'production', 'db1').enrol();
  const { agentId } = host;
  const link = await host.connect();
  gateway.enrolment.revoke(agentId, 'key-1');
  gateway.enrolment.revoke(agentId, 'key-1');
  await link.closed;
  await waitFor('the agent to be gone', () => !gateway.connections.isConnected(agentId));
  expect(await host.open().closed).toContain('401 CredentialInvalid');
  const said = gateway.catalog.select().from(audit).all();
  expect(said.filter(({ action }) => action === 'agent.revoke')).toMatchObject([
    { actor: 'key-1', environment: 'production', subject: agentId, detail: { hostname: 'db1' } },
  ]);
  expect(await brokenAuditEntry(gateway.catalog)).toBeUndefined();
  expect(host.enrol().agentId).toBe(agentId);
  await (await host.connect()).close();
  expect(() => gateway.enrolment.revoke(host.databaseId('none'), 'key-1')).toThrow(
    expect.objectContaining({ code: 'NotFound' }),
  );
});
