/**
 * Whether a database's name is one that a pattern means: `*` stands for any letters, none included, and `?` for one;
 * everything else for itself, also where it is a capital. Takes no longer than pattern times name, whatever they hold.
 */
export function matchesName(pattern: string, name: string): boolean {
  const wanted = Array.from(pattern);
  const given = Array.from(name);
  let at = 0;
  /** The last star that was met, and up to where it reaches. */
  let star = -1;
  let reach = 0;
  for (let letter = 0; letter < given.length;) {
    if (wanted[at] === '*') {
      star = at++;
      reach = letter;
    } else if (wanted[at] === '?' || wanted[at] === given[letter]) {
      at++;
      letter++;
    } else if (star >= 0) {
      at = star + 1;
      letter = ++reach;
    } else return false;
  }
  while (wanted[at] === '*') at++;
  return at === wanted.length;
}
