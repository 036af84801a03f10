import { CliError } from '../errors.ts';

/**
 * Ids of the stores that are named as the host calls them.
 * @throws CliError `NotFound`
 */
export function storeIdsOf(
  names: readonly string[] | undefined,
  stores: readonly { id: string; name: string }[],
): { storeIds?: string[] } {
  if (names === undefined) return {};
  const storeIds = names.map((name) => {
    const store = stores.find((each) => each.name === name || each.id === name);
    if (store) return store.id;
    throw new CliError(
      'NotFound',
      `There is no store ${JSON.stringify(name)} of it.`,
      `It has: ${stores.map((each) => each.name).join(', ') || 'none'}.`,
    );
  });
  return { storeIds };
}
