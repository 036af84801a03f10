interface Page<Item> {
  items: Item[];
  nextCursor: string | null;
}

export interface Listed<Item> {
  items: Item[];
  /** Whether there are more than were asked for. */
  more: boolean;
}

/** As many as one page may hold. */
const pageSize = 200;

/**
 * Reads a list page by page.
 * @param most at most so many items
 */
export async function listAll<Item>(
  ask: (page: { cursor?: string; limit: number }) => Promise<Page<Item>>,
  most = Infinity,
): Promise<Listed<Item>> {
  const items: Item[] = [];
  let cursor: string | null = null;
  do {
    const limit = Math.min(pageSize, most - items.length);
    const page: Page<Item> = await ask({ ...(cursor === null ? {} : { cursor }), limit });
    items.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor !== null && items.length < most);
  return { items, more: cursor !== null };
}
