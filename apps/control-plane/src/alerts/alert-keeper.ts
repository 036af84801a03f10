import { paragraphOf } from '@strideiq/core';
import type { Catalog } from '../catalog/open-catalog.ts';
import type { Channel } from '../channels/open-channel.ts';
import type { StoreRow } from '../copies/own-stores.ts';
import type { Log } from '../log.ts';
import { planStore } from '../retention/plan-store.ts';
import { NoticeDelivery } from './deliver-notices.ts';
import { judgeAll, type JudgeParts } from './judge-all.ts';
import { RecentFacts } from './recent-facts.ts';
import { recordAlerts } from './record-alerts.ts';
import { writeDigests } from './write-digests.ts';
import { writeNotices } from './write-notices.ts';

export interface AlertKeeperParts extends Omit<JudgeParts, 'catalog' | 'channels' | 'facts' | 'retentionWaits'> {
  catalog: Catalog;
  now: () => number;
  channels: ReadonlyMap<string, Channel>;
  /** Where people look at what is told; undefined where nobody said. */
  publicUrl: string | undefined;
  log: Log;
}

/** So that what holds is told within a minute, the time included in which a message gathers others. */
const everyMs = 15_000;

/** How often it is seen whether retention of a directory waits for somebody. */
const planEveryMs = 600_000;

/**
 * Looks again and again at what rules say, by the control plane's own clock and catalog, so that an agent that is dead is noticed;
 * keeps the alerts, and sends what there is to tell.
 */
export class AlertKeeper {
  readonly #parts: AlertKeeperParts;
  readonly #delivery: NoticeDelivery;
  /** What holds and is no alert yet: since when. It begins anew with the program, which could see nothing while it was down. */
  #pending: ReadonlyMap<string, number> = new Map();
  readonly #facts = new RecentFacts();
  readonly #waits = new Map<string, { at: number; waits: string | null }>();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();
  #isStopped = false;
  #lookedAt: number | undefined;

  constructor(parts: AlertKeeperParts) {
    this.#parts = parts;
    this.#delivery = new NoticeDelivery(parts);
  }

  /** When the last look came to its end; undefined before the first. */
  get lookedAt(): number | undefined {
    return this.#lookedAt;
  }

  start(): void {
    const turn = async () => {
      try {
        await this.look();
      } catch (error) {
        // A disk that is full now may not be so in a moment.
        this.#parts.log.error({ err: error }, `alerts were not looked at: ${paragraphOf(error)}`);
      }
      if (!this.#isStopped) this.#timer = setTimeout(() => void turn(), everyMs);
    };
    void turn();
  }

  /** One look, and whatever is due to be told by it. One at a time, whoever asks. */
  async look(): Promise<void> {
    const look = this.#looking.then(async () => this.#look());
    this.#looking = look.catch(() => undefined);
    return look;
  }

  async #look(): Promise<void> {
    const { catalog, now, channels, publicUrl } = this.#parts;
    const judging = {
      ...this.#parts,
      facts: this.#facts,
      channels: [...channels.keys()],
      retentionWaits: (store: StoreRow) => this.#waitsOf(store),
    };
    const judged = await judgeAll(judging, now);
    if (this.#isStopped) return;
    const at = now();
    this.#pending = catalog.transaction(
      (tx) => {
        const pending = recordAlerts(tx, judged, this.#pending, at);
        const all = [...channels.values()];
        writeNotices(tx, { channels: all, publicUrl, now: at });
        writeDigests(tx, { channels: all, publicUrl, now: at });
        return pending;
      },
      { behavior: 'immediate' },
    );
    this.#lookedAt = at;
    this.#delivery.turn();
  }

  /** To plan is some work, and what it says seldom changes. */
  #waitsOf(store: StoreRow): string | null {
    const { catalog, now } = this.#parts;
    const known = this.#waits.get(store.id);
    if (known && now() - known.at < planEveryMs && now() >= known.at) return known.waits;
    const { waits = null } = planStore(catalog, store, now());
    this.#waits.set(store.id, { at: now(), waits });
    return waits;
  }

  /** What is being sent is left, and sent again after the next start. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#looking;
    await this.#delivery.stop();
  }
}
