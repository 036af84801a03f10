import type { Manifest } from '@strideiq/core';
import { ItemTables, relationKey, type PostDataItem, type RelationName, type TocItem } from '@strideiq/dump';
import { AgentError } from '../errors.ts';
import type { MadeObjects } from './relations.ts';
import type { Selection } from './selection.ts';

/** Large objects are rows of the database as a whole: of a part of it, or of its schema alone, they are none. */
export function isOfLargeObjects(toc: TocItem | undefined): boolean {
  if (!toc) return false;
  const { type, name } = toc;
  return (
    /^(?:BLOB|LARGE OBJECT)/.test(type) ||
    (/^(?:COMMENT|ACL|SECURITY LABEL)$/.test(type) && name.startsWith('LARGE OBJECT'))
  );
}

export function isOfGrants(toc: TocItem | undefined): boolean {
  return toc?.type === 'ACL' || toc?.type === 'DEFAULT ACL';
}

/** What a piece of a dump is about. */
export interface About {
  toc?: TocItem | undefined;
  table?: RelationName | undefined;
}

/**
 * Whether it is pg_cron with its jobs, which works in one database of a server alone, and there by itself. (The other thing
 * that would, a subscription, is in no dump that an agent makes.)
 */
export function isOfCron({ toc, table }: About, { extensions }: Pick<Manifest, 'extensions'>): boolean {
  if (!extensions.some(({ name }) => name === 'pg_cron')) return false;
  if (table?.schema === 'cron' || toc?.schema === 'cron') return true;
  if (!toc) return false;
  const { type, name } = toc;
  return (/^(?:COMMENT|ACL|SECURITY LABEL)$/.test(type) ? name : `${type} ${name}`) === 'EXTENSION pg_cron';
}

/** The manifest as a database that is only looked at needs it: without pg_cron, which its server then need not have. */
export function withoutCron<Given extends Manifest | undefined>(manifest: Given): Given {
  if (!manifest) return manifest;
  return { ...manifest, extensions: manifest.extensions.filter(({ name }) => name !== 'pg_cron') };
}

/**
 * Tells which of the wanted tables have no rows in the dump, as with `pg_dump --exclude-table-data`.
 * @param copied tables whose rows are there, be they none
 */
export function noteWithoutRows(
  { tables }: Selection,
  copied: readonly RelationName[],
  { relations }: MadeObjects,
  note: (text: string) => void,
): void {
  const there = new Set(copied.map(relationKey));
  for (const key of tables ?? []) {
    const relation = relations.get(key);
    if (relation?.kind !== 'table' || there.has(key)) continue;
    note(`The dump holds no rows of ${relation.schema}.${relation.name}, which is empty now.`);
  }
}

/**
 * The objects of post-data that go with a selection: for tables, those that are about them and no others; for a schema
 * without rows, all but what fills materialised views.
 * @param note is told which foreign keys are left out
 */
export function itemsOf(
  items: readonly PostDataItem[],
  { tables, postData }: Selection,
  clientEncoding: string,
  note: (text: string) => void,
): PostDataItem[] {
  if (!postData) return [];
  if (!tables) return items.filter(({ toc }) => toc?.type !== 'MATERIALIZED VIEW DATA' && !isOfLargeObjects(toc));
  const reader = new ItemTables(clientEncoding);
  const withoutOther: string[] = [];
  const chosen = items.filter((item) => {
    const about = reader.of(item);
    const missing = about?.filter((table) => !tables.has(relationKey(table))) ?? [];
    const [table] = about ?? [];
    if (item.toc?.type === 'FK CONSTRAINT' && missing.length > 0 && table && tables.has(relationKey(table))) {
      withoutOther.push(item.toc.name);
    }
    return about !== undefined && missing.length === 0;
  });
  if (withoutOther.length > 0) {
    note(`Foreign keys to tables that were not restored were left out: ${withoutOther.join(', ')}.`);
  }
  return chosen;
}

/** Only of what pg_dump writes can a part be told from the rest. */
export function notInParts(dumpKey: string): AgentError {
  return new AgentError(
    'RestoreFailed',
    `${dumpKey} holds statements that no pg_dump writes, rows as INSERTs, or more of post-data than is held: no part of it can be restored alone.`,
    'Restore all of it, and take from there what is needed.',
  );
}
