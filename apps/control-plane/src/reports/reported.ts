import type { CatalogTransaction } from '../catalog/open-catalog.ts';
import type { News } from '../runs/news.ts';

/** What is known of one report while it is applied. */
export interface Reported {
  tx: CatalogTransaction;
  news: News;
  agentId: string;
  /** By the host's clock. */
  hostAt: number;
  now: number;
}
