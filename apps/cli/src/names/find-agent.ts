import type { Agent } from '@strideiq/control-plane/router';
import type { Client } from '../connection/client.ts';
import { listAll } from '../connection/pages.ts';
import { theOne } from './choose.ts';
import { isId } from './id.ts';

/**
 * The agent that is named by its hostname, by `environment/hostname`, or by its id.
 * @throws CliError `NotFound`, `NameAmbiguous`
 */
export async function findAgent(client: Client, reference: string): Promise<Pick<Agent, 'id' | 'hostname'>> {
  if (isId(reference)) return client.agents.get.query({ agentId: reference });
  const { items } = await listAll(async (page) => client.agents.list.query(page));
  return chooseAgent(items, reference);
}

type Known = Pick<Agent, 'id' | 'environment' | 'hostname' | 'revoked'>;

/** @throws CliError `NotFound`, `NameAmbiguous` */
export function chooseAgent<Each extends Known>(agents: readonly Each[], reference: string): Each {
  const names = ({ environment, hostname }: Known) => [hostname, `${environment}/${hostname}`];
  const named = agents.filter((each) => names(each).includes(reference));
  // A host that enrolled with a new key is another agent; the one before it is mostly revoked by then.
  const held = named.filter(({ revoked }) => !revoked);
  const twins = new Set(named.map(({ environment }) => environment)).size < named.length;
  return theOne('agent', reference, {
    meant: held.length > 0 ? held : named,
    all: agents,
    named: ({ id, environment, hostname }) =>
      twins ? `${environment}/${hostname} (${id})` : `${environment}/${hostname}`,
    list: 'strideiq agents',
  });
}
