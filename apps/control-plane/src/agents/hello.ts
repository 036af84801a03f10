import { commonProtocol, spokenProtocols, type Hello, type HelloAnswer, type ProtocolRange } from '@strideiq/protocol';
import { and, eq } from 'drizzle-orm';
import type { Catalog, CatalogTransaction } from '../catalog/open-catalog.ts';
import { agents, journals } from '../catalog/schema.ts';
import { ControlPlaneError } from '../errors.ts';
import type { Connection } from './connection.ts';
import { declareDatabases } from './declare-databases.ts';

/**
 * The first message of a connection: what the host is, what it looks after, and from where on its reports are wanted.
 * @throws ControlPlaneError `ProtocolUnsupported`
 */
export function takeHello(
  { catalog, now }: { catalog: Catalog; now: () => number },
  connection: Connection,
  hello: Hello,
): HelloAnswer {
  const protocol = commonProtocol(spokenProtocols, hello.protocol);
  if (protocol === undefined) throw protocolUnsupported(hello);
  const { agentId, environment } = connection;
  const receivedAt = now();
  const { refused, highWater } = catalog.transaction(
    (tx) => {
      const { hostname, agentVersion: version, commandKinds, reachableStoreIds } = hello;
      tx.update(agents)
        .set({ hostname, version, commandKinds, reachableStoreIds: [...new Set(reachableStoreIds)] })
        .where(eq(agents.id, agentId))
        .run();
      const refused = declareDatabases(tx, { agentId, environment }, hello.databases, receivedAt);
      return { refused, highWater: markOf(tx, agentId, hello) };
    },
    { behavior: 'immediate' },
  );
  connection.saidTime(hello.sentAt, receivedAt);
  connection.hello = hello;
  // It may name other databases by now, whose policies it is to be told.
  connection.wake();
  const serverTime = new Date(receivedAt).toISOString();
  return { protocol, agentId, environment, serverTime, highWater, refusedDatabases: refused, keepsPolicies: true };
}

/**
 * Up to where this journal is recorded. A journal that has less than that was set back with its host: what it numbers
 * anew is new, so the mark goes back with it. What it sends again is known by its ids.
 */
function markOf(tx: CatalogTransaction, agentId: string, { journalId, lastSeq }: Hello): number {
  const ofJournal = and(eq(journals.agentId, agentId), eq(journals.journalId, journalId));
  const mark = tx.select().from(journals).where(ofJournal).get()?.highWater ?? 0;
  if (mark <= lastSeq) return mark;
  tx.update(journals).set({ highWater: lastSeq }).where(ofJournal).run();
  return lastSeq;
}

function protocolUnsupported({ protocol, agentVersion }: Hello): ControlPlaneError {
  return new ControlPlaneError(
    'ProtocolUnsupported',
    `This agent (${agentVersion}) speaks ${spoken(protocol)}, and this control plane ${spoken(spokenProtocols)}.`,
    protocol.min > spokenProtocols.max ? 'Upgrade the control plane.' : 'Upgrade the agent.',
  );
}

function spoken({ min, max }: ProtocolRange): string {
  return min === max ? `version ${min} of the protocol` : `versions ${min} to ${max} of the protocol`;
}
