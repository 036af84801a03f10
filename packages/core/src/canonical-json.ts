import canonicalize from 'canonicalize';

/**
 * The canonical JSON (RFC 8785) of an object in pieces: one per key, and one per entry where a key holds a list, so that
 * no text as long as the whole stands in memory. As in JSON.stringify, keys that hold undefined are left out.
 * @throws Error for what the RFC has no form for: a lone surrogate, NaN, a circle
 */
export function* canonicalPieces(document: object): Generator<string, void> {
  let before = '{';
  // By UTF-16 code units, which is both sort()'s own order and the RFC's (3.2.3).
  for (const [key, value] of Object.entries(document).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const name = canonicalize(key) ?? '';
    if (isPlainList(value)) {
      yield `${before}${name}:[`;
      for (const [at, entry] of value.entries()) yield `${at > 0 ? ',' : ''}${canonicalize(entry) ?? 'null'}`;
      yield ']';
    } else {
      const text = canonicalize(value);
      if (text === undefined) continue;
      yield `${before}${name}:${text}`;
    }
    before = ',';
  }
  yield before === '{' ? '{}' : '}';
}

function isPlainList(value: unknown): value is unknown[] {
  return Array.isArray(value) && !('toJSON' in value);
}
