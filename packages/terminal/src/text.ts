const graphemes = new Intl.Segmenter();

/** Marks, joiners and other signs that take no column of their own. */
const nothing = /^[\p{Mark}\p{Format}\p{Control}\p{Default_Ignorable_Code_Point}]*$/u;

/**
 * What a terminal draws two columns wide: Chinese, Japanese and Korean letters, their punctuation, full-width forms, and
 * emoji (Unicode Standard Annex 11, "W" and "F").
 */
const wide =
  /^(?:[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Bopomofo}\p{Script=Yi}\u3000-\u303E\u30FB\u30FC\uFF01-\uFF5E\uFFE0-\uFFE6\p{Emoji_Presentation}]|\p{Emoji}\uFE0F)/u;

/** Half-width Katakana and Hangul stand in the same scripts, and are as narrow as they say. */
const half = /^[\uFF61-\uFFDC]/;

/** Columns that a text takes on a terminal. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const { segment } of graphemes.segment(text)) {
    if (nothing.test(segment)) continue;
    width += wide.test(segment) && !half.test(segment) ? 2 : 1;
    // The half-width voice marks belong to the letter before them, and have a column of their own.
    width += segment.slice(1).match(/[\uFF9E\uFF9F]/g)?.length ?? 0;
  }
  return width;
}

/** The beginning of a text that fits in so many columns. */
export function fitting(text: string, columns: number): string {
  let width = 0;
  let end = 0;
  for (const { segment, index } of graphemes.segment(text)) {
    width += displayWidth(segment);
    if (width > columns) return text.slice(0, end);
    end = index + segment.length;
  }
  return text;
}

/**
 * A text without power over the terminal: control signs are shown and not obeyed, marks that turn the direction of
 * writing too. Names come from databases and hosts that others rule; one of them must not draw over what we say.
 * Line breaks and tabs stay.
 */
export function printable(text: string): string {
  return text.replaceAll(
    /(?![\n\t])[\p{Control}\u2028\u2029\u202A-\u202E\u2066-\u2069]/gu,
    (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
