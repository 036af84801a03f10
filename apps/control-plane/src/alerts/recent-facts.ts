import type { DatabaseFacts } from '@strideiq/core';
import type { databases } from '../catalog/schema.ts';
import { databaseFactsOf, type FactsParts } from './database-facts-of.ts';

/** Rules look more often than that what they ask of the catalog changes: gathering it takes milliseconds for each database. */
const recentMs = 45_000;

/** What was gathered of each database, for the better part of a minute. Time itself goes on: rules judge by the moment of now. */
export class RecentFacts {
  readonly #known = new Map<string, { at: number; facts: DatabaseFacts }>();

  of(parts: FactsParts, row: typeof databases.$inferSelect, now: number): DatabaseFacts {
    const known = this.#known.get(row.id);
    if (known && now >= known.at && now - known.at < recentMs) return known.facts;
    const facts = databaseFactsOf(parts, row, now);
    this.#known.set(row.id, { at: now, facts });
    return facts;
  }
}
