/** What a byte can begin outside of quotes and comments. */
export const byteClass = {
  plain: 0,
  word: 1,
  digit: 2,
  quote: 3,
  doubleQuote: 4,
  dollar: 5,
  dash: 6,
  slash: 7,
  open: 8,
  close: 9,
  semicolon: 10,
  backslash: 11,
} as const;

/** Class of each byte; those of 128 and more are letters (`ident_start` in PostgreSQL's psqlscan.l). */
export const classes = new Uint8Array(256).fill(byteClass.word, 128);
for (const letter of 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_')
  classes[letter.charCodeAt(0)] = byteClass.word;
for (const figure of '0123456789') classes[figure.charCodeAt(0)] = byteClass.digit;
for (const [character, kind] of [
  ["'", byteClass.quote],
  ['"', byteClass.doubleQuote],
  ['$', byteClass.dollar],
  ['-', byteClass.dash],
  ['/', byteClass.slash],
  ['(', byteClass.open],
  [')', byteClass.close],
  [';', byteClass.semicolon],
  ['\\', byteClass.backslash],
] as const) {
  classes[character.charCodeAt(0)] = kind;
}

/** Bytes that go on with an identifier; a dollar quote's tag has no dollars. */
export const inTag = classes.map((kind) => (kind === byteClass.word || kind === byteClass.digit ? 1 : 0));
export const inWord = Uint8Array.from(inTag);
inWord[0x24] = 1;
export const isDigit = classes.map((kind) => (kind === byteClass.digit ? 1 : 0));

/** The first byte from `from` on that is not of the set. */
export function skip(b: Buffer, from: number, members: Uint8Array): number {
  let i = from;
  while (i < b.length && members[b[i] as number] === 1) i++;
  return i;
}

/** Where the line ends that byte `from` is in: at its newline or carriage return, which psql takes for one too; -1 for not yet. */
export function endOfLine(b: Buffer, from: number): number {
  const newline = b.indexOf(0x0a, from);
  const end = newline < 0 ? b.length : newline;
  for (let i = from; i < end; i++) if (b[i] === 0x0d) return i;
  return newline;
}
