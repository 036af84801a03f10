import { endOfLine, inWord, byteClass, classes, skip } from './sql-bytes.ts';
import { SqlLexer } from './sql-lexer.ts';

/** What stands beside databases or above them, as the second word of CREATE, ALTER and DROP. */
const shared = new Set(['database', 'tablespace', 'role', 'user', 'group']);
/** The same, and a server's parameters, as what comments, labels and privileges are ON. */
const onShared = new Set(['database', 'tablespace', 'role', 'parameter']);

/**
 * Whether a statement speaks of databases, roles, tablespaces or the server itself rather than of what is in one database:
 * CREATE, ALTER and DROP of them, ALTER SYSTEM, REASSIGN and DROP OWNED, comments, labels and privileges ON them, and
 * membership in roles. No dump of one database without --create holds any, but for the COMMENT ON DATABASE of pg_dump 10 and older.
 *
 * Told by the statement's first words, so it guards against accidents: what a DO block runs is not seen.
 * @param sql one statement, in an encoding that can be told apart byte by byte; comments may stand anywhere
 */
export function isServerLevel(sql: Buffer): boolean {
  const words = leadingWords(sql);
  const next = (): string => words.next().value ?? '';
  const first = next();
  switch (first) {
    case 'create':
    case 'alter':
    case 'drop': {
      const kind = next();
      // A user mapping is of the database that its foreign server is in.
      if (kind === 'user') return next() !== 'mapping';
      if (kind === 'owned') return first === 'drop';
      return shared.has(kind) || (first === 'alter' && kind === 'system');
    }
    case 'reassign':
      return true;
    case 'comment':
    case 'security':
    case 'grant':
    case 'revoke':
      for (const word of words) {
        if (word === 'on') return onShared.has(next());
        // GRANT role TO role and REVOKE role FROM role; all three words are reserved, so none is a name.
        if (word === 'to' || word === 'from') return true;
      }
      return false;
    default:
      return false;
  }
}

/** Words outside of comments and quotes in lower case; whatever else stands between them, a quoted name among it, is ''. */
function* leadingWords(b: Buffer): Generator<string, undefined> {
  for (let i = 0; i < b.length;) {
    const kind = classes[b[i] as number];
    if (kind === byteClass.word) {
      const end = skip(b, i, inWord);
      yield end - i > 24 ? '' : b.toString('latin1', i, end).toLowerCase();
      i = end;
    } else if (b[i] === 0x20 || ((b[i] as number) >= 0x09 && (b[i] as number) <= 0x0d)) {
      i++;
    } else if (kind === byteClass.dash && b[i + 1] === 0x2d) {
      const end = endOfLine(b, i);
      i = end < 0 ? b.length : end;
    } else if (kind === byteClass.slash && b[i + 1] === 0x2a) {
      const lexer = new SqlLexer();
      lexer.openComment();
      i = lexer.comment(b, i + 2, true);
    } else {
      yield '';
      const quoted = kind === byteClass.quote || kind === byteClass.doubleQuote;
      const end = quoted ? b.indexOf(b[i] as number, i + 1) : i;
      i = end < 0 ? b.length : end + 1;
    }
  }
}
