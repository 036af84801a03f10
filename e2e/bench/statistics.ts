/** The middle one, or the mean of the middle two; undefined of nothing. */
export function median(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[sorted.length >> 1];
  const lower = sorted[(sorted.length - 1) >> 1];
  return upper === undefined || lower === undefined ? undefined : (lower + upper) / 2;
}

/** How far the values lie apart, as a share of their median: 0.1 is ten per cent. */
export function spread(values: readonly number[]): number | undefined {
  const middle = median(values);
  return middle === undefined || middle === 0 ? undefined : (Math.max(...values) - Math.min(...values)) / middle;
}

/**
 * The median of the ratios within each round: what slows a whole round down, slows both sides of it. Rounds that lack
 * one of the two do not count.
 */
export function ratio(
  values: readonly (number | undefined)[],
  baseline: readonly (number | undefined)[],
): number | undefined {
  const ratios = values.flatMap((value, round) => {
    const other = baseline[round];
    return value === undefined || other === undefined || other === 0 ? [] : [value / other];
  });
  return median(ratios);
}

/** The order of one round: each begins one further, so that nobody always follows the same one. */
export function rotated<T>(items: readonly T[], round: number): T[] {
  const first = items.length === 0 ? 0 : round % items.length;
  return [...items.slice(first), ...items.slice(0, first)];
}
