import type { AgentConnections } from '../agents/agent-connections.ts';
import type { Catalog, CatalogTransaction } from '../catalog/open-catalog.ts';
import type { LiveRuns } from './live-runs.ts';

export interface NewsParts {
  catalog: Catalog;
  connections: Pick<AgentConnections, 'wake'>;
  liveRuns: LiveRuns;
}

/** What a transaction changed, for those who are to hear of it once it is committed. */
export class News {
  readonly #runs = new Map<string, { ended: boolean }>();
  readonly #agents = new Set<string>();

  runChanged(runId: string, { ended = false }: { ended?: boolean } = {}): void {
    // What is told of it after its end is no new beginning.
    this.#runs.set(runId, { ended: ended || (this.#runs.get(runId)?.ended ?? false) });
  }

  /** There is something to be sent to this agent. */
  toBeSent(agentId: string): void {
    this.#agents.add(agentId);
  }

  tell({ liveRuns, connections }: Omit<NewsParts, 'catalog'>): void {
    for (const [runId, { ended }] of this.#runs) {
      if (ended) liveRuns.ended(runId);
      else liveRuns.changed(runId);
    }
    for (const agentId of this.#agents) connections.wake(agentId);
  }
}

/** One transaction, that writes from its beginning; what it changed is told when it is committed, and only then. */
export function commit<T>(parts: NewsParts, work: (tx: CatalogTransaction, news: News) => T): T {
  const news = new News();
  const result = parts.catalog.transaction((tx) => work(tx, news), { behavior: 'immediate' });
  news.tell(parts);
  return result;
}
