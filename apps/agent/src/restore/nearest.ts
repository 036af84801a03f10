/** The names that are most like a wrong one, three at most; none where nothing is like it. */
export function nearest(wrong: string, names: readonly string[]): string[] {
  const wanted = wrong.toLowerCase();
  return names
    .map((name) => ({ name, distance: distanceOf(wanted, name.toLowerCase()) }))
    .filter(({ name, distance }) => distance <= Math.max(2, name.length / 3))
    .toSorted((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ name }) => name);
}

/** How many letters have to be added, taken away or changed; a schema that was left out counts for nothing. */
function distanceOf(wrong: string, name: string): number {
  const unqualified = name.slice(name.indexOf('.') + 1);
  return wrong.includes('.')
    ? editsBetween(wrong, name)
    : Math.min(editsBetween(wrong, name), editsBetween(wrong, unqualified));
}

function editsBetween(one: string, other: string): number {
  let before = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (let i = 0; i < one.length; i++) {
    const row = [i + 1];
    for (let k = 0; k < other.length; k++) {
      const changed = (before[k] ?? 0) + (one[i] === other[k] ? 0 : 1);
      row.push(Math.min(changed, (before[k + 1] ?? 0) + 1, (row[k] ?? 0) + 1));
    }
    before = row;
  }
  return before.at(-1) ?? 0;
}
