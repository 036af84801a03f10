import { startGateway } from './gateway.ts';
import { TestHost } from './host.ts';

/**
 * The gateway in a process of its own, so that its memory is its alone: started by `fork` with the number of agents to
 * enrol. It says what they need to connect, and then answers what it is asked, until its parent is gone.
 */

export type Asked = 'drop' | 'state';

export interface Started {
  url: string;
  agents: { agentId: string; credential: string }[];
}

export interface State {
  rssBytes: number;
  connected: number;
  reports: number;
  errors: string[];
}

const gateway = await startGateway();
const agents = Array.from({ length: Number(process.argv[2]) }, (_, at) => {
  const { agentId, credential } = new TestHost(gateway, 'production', `db${at}`).enrol();
  return { agentId, credential };
});

process.on('disconnect', () => process.exit(0));
process.on('message', (asked: Asked) => {
  if (asked === 'drop') for (const { agentId } of agents) gateway.connections.disconnect(agentId);
  const state: State = {
    rssBytes: process.memoryUsage.rss(),
    connected: agents.filter(({ agentId }) => gateway.connections.isConnected(agentId)).length,
    reports: gateway.catalog.$client.prepare('SELECT count(*) FROM reports').pluck().get() as number,
    errors: gateway.said.filter(({ level }) => level === 'error').map(({ text }) => text),
  };
  process.send?.(state);
});
process.send?.({ url: gateway.url, agents } satisfies Started);
