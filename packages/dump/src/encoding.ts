/**
 * Names of PostgreSQL's client encodings (documentation, "Character Set Support") as TextDecoder knows them. Only names
 * are ever decoded: statements and rows stay bytes.
 */
const decoderLabels: Record<string, string> = {
  UTF8: 'utf-8',
  UNICODE: 'utf-8',
  EUC_JP: 'euc-jp',
  EUC_KR: 'euc-kr',
  EUC_CN: 'gbk',
  KOI8R: 'koi8-r',
  KOI8U: 'koi8-u',
  LATIN1: 'latin1',
  LATIN2: 'iso-8859-2',
  LATIN3: 'iso-8859-3',
  LATIN4: 'iso-8859-4',
  LATIN5: 'latin1',
  LATIN6: 'iso-8859-10',
  LATIN7: 'iso-8859-13',
  LATIN8: 'iso-8859-14',
  LATIN9: 'iso-8859-15',
  LATIN10: 'iso-8859-16',
  ISO_8859_5: 'iso-8859-5',
  ISO_8859_6: 'iso-8859-6',
  ISO_8859_7: 'iso-8859-7',
  ISO_8859_8: 'iso-8859-8',
  WIN866: 'ibm866',
  WIN874: 'windows-874',
  WIN1250: 'windows-1250',
  WIN1251: 'windows-1251',
  WIN1252: 'windows-1252',
  WIN1253: 'windows-1253',
  WIN1254: 'windows-1254',
  WIN1255: 'windows-1255',
  WIN1256: 'windows-1256',
  WIN1257: 'windows-1257',
  WIN1258: 'windows-1258',
};

/**
 * Characters in which PostgreSQL's maps differ from the decoder of that label. TextDecoder takes ISO 8859-1 and -9 for the
 * Windows code pages that resemble them, and KOI8-U for KOI8-RU (WHATWG Encoding Standard, "Names and labels").
 */
const differences: Record<string, Record<string, string>> = {
  LATIN5: {
    '\u00d0': '\u011e',
    '\u00dd': '\u0130',
    '\u00de': '\u015e',
    '\u00f0': '\u011f',
    '\u00fd': '\u0131',
    '\u00fe': '\u015f',
  },
  KOI8U: { '\u045e': '\u255d', '\u040e': '\u256c' },
};

/**
 * Encodings in which a byte that looks like a backslash or a semicolon can be half of a character (PostgreSQL's
 * `PG_ENCODING_BE_LAST` rule: they are never a server's). pg_dump writes them only when asked to by `--encoding`.
 */
const unsafe = new Set(['SJIS', 'BIG5', 'GBK', 'UHC', 'GB18030', 'JOHAB', 'SHIFT_JIS_2004', 'SHIFTJIS', 'MSKANJI']);

/** Whether SQL in this client encoding can be told apart byte by byte. */
export function isScannable(clientEncoding: string): boolean {
  return !unsafe.has(clientEncoding.toUpperCase());
}

/** A name's bytes as text; bytes that the encoding does not know become U+FFFD. */
export function decodeName(bytes: Buffer, clientEncoding: string): string {
  const encoding = clientEncoding.toUpperCase();
  const label = decoderLabels[encoding] ?? 'utf-8';
  if (label === 'utf-8') return bytes.toString('utf8');
  const text = label === 'latin1' ? bytes.toString('latin1') : new TextDecoder(label).decode(bytes);
  const changes = differences[encoding];
  return changes ? Array.from(text, (character) => changes[character] ?? character).join('') : text;
}
