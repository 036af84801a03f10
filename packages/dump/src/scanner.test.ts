import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { countNewlines } from './count-newlines.ts';
import { DumpScanner } from './scanner.ts';

/** The statements, rows and other parts of some SQL: its spans, those of one statement or COPY as one. */
function scanned(sql: string | Buffer, scanner = new DumpScanner()): string[] {
  const found: string[] = [];
  let whole = true;
  const take = (): void => {
    for (let span = scanner.next(); span; span = scanner.next()) {
      const text = span.bytes.toString();
      if (span.kind === 'gap') continue;
      if (whole) found.push(text);
      else found[found.length - 1] += text;
      whole = span.kind === 'statement' ? span.last : span.kind !== 'rows';
    }
  };
  for (const byte of Buffer.from(sql)) {
    scanner.feed(Buffer.of(byte));
    take();
  }
  scanner.end();
  take();
  return found;
}

describe('DumpScanner', () => {
  test.each([
    ['backslashes in standard strings', String.raw`SELECT '\'; SELECT 2;`, String.raw`SELECT '\';`],
    ['escape strings', String.raw`SELECT E'\';'';' ; SELECT 2;`, String.raw`SELECT E'\';'';' ;`],
    ['a name that ends in e', String.raw`SELECT name'\'; SELECT 2;`, String.raw`SELECT name'\';`],
    ['parameters', 'SELECT $1; SELECT $2;', 'SELECT $1;'],
    ['dollars in names', 'SELECT a$b$; SELECT $b$;$b$;', 'SELECT a$b$;'],
    ['tags in tags', 'SELECT $a$ $b$ ; $$ $a $a$; SELECT 2;', 'SELECT $a$ $b$ ; $$ $a $a$;'],
    ['tags that share dollars', 'SELECT $a$ $b$a$; SELECT 2;', 'SELECT $a$ $b$a$;'],
    ['nested comments', 'SELECT /* ; /* ; */ */*/**/ 1; SELECT 2;', 'SELECT /* ; /* ; */ */*/**/ 1;'],
    ['comments after operators', 'SELECT 1 +-- ;\n 1; SELECT 2;', 'SELECT 1 +-- ;\n 1;'],
    ['comments that end at a carriage return', 'SELECT 1 -- ;\r; SELECT 2;', 'SELECT 1 -- ;\r;'],
    ['parentheses', 'CREATE RULE r AS DO (a; b); SELECT 2;', 'CREATE RULE r AS DO (a; b);'],
    ['parentheses that were never opened', 'SELECT ); SELECT (;);', 'SELECT );'],
    [
      'bodies',
      'create or replace function f() begin atomic select case when 1 then 2 end; end; SELECT 2;',
      'create or replace function f() begin atomic select case when 1 then 2 end; end;',
    ],
    [
      'begin outside of bodies',
      'CREATE PROCEDURE public.begin() AS $$x$$; SELECT 2;',
      'CREATE PROCEDURE public.begin() AS $$x$$;',
    ],
    [
      'names that look like bodies',
      'CREATE FUNCTION f() RETURNS begin . atomic LANGUAGE sql AS $$x$$; SELECT 2;',
      'CREATE FUNCTION f() RETURNS begin . atomic LANGUAGE sql AS $$x$$;',
    ],
    [
      'bodies after names that look like them',
      'CREATE FUNCTION f() RETURNS begin.atomic BEGIN ATOMIC SELECT 1; END; SELECT 2;',
      'CREATE FUNCTION f() RETURNS begin.atomic BEGIN ATOMIC SELECT 1; END;',
    ],
    [
      'quoted names that look like bodies',
      'CREATE FUNCTION f() RETURNS begin."a" SET x TO begin "b" atomic AS $$x$$; SELECT 2;',
      'CREATE FUNCTION f() RETURNS begin."a" SET x TO begin "b" atomic AS $$x$$;',
    ],
    ['transactions', 'BEGIN; SELECT 2; COMMIT;', 'BEGIN;'],
    ['unicode strings', String.raw`SELECT U&'\'; SELECT U&"\"; SELECT 2;`, String.raw`SELECT U&'\';`],
    ['bit strings', `SELECT B'';''; SELECT 2;`, `SELECT B'';`],
    ['a byte order mark', '\uFEFFSELECT 1; SELECT 2;', 'SELECT 1;'],
  ])('ends a statement as psql does: %s', (_, sql, first) => {
    expect(scanned(sql)[0]).toBe(first);
  });

  test('follows standard_conforming_strings', () => {
    const sql = String.raw`SET standard_conforming_strings = off; SELECT '\';'; SELECT U&'\'; SET standard_conforming_strings TO on; SELECT '\';`;
    expect(scanned(sql)).toEqual([
      'SET standard_conforming_strings = off;',
      String.raw`SELECT '\';';`,
      String.raw`SELECT U&'\';`,
      'SET standard_conforming_strings TO on;',
      String.raw`SELECT '\';`,
    ]);
  });

  test.each(['\n', '\r\n'])(
    'reads COPY data with lines that end in %j, empty tables and ends without a line end',
    (eol) => {
      const sql = `COPY public.a (x) FROM stdin;${eol}${eol}\\\\.${eol}\\.x${eol}\\N${eol}\\.${eol}COPY b FROM stdin;${eol}\\.`;
      expect(scanned(sql)).toEqual([
        `COPY public.a (x) FROM stdin;${eol}`,
        `${eol}\\\\.${eol}\\.x${eol}\\N${eol}\\.${eol}`,
        `COPY b FROM stdin;${eol}`,
        '\\.',
      ]);
    },
  );

  test.each([
    ['\\! ls\n', 'MetaCommandRefused'],
    ['\\restrict a b\n', 'MetaCommandRefused'],
    ['\\restrict a \\! ls\n', 'MetaCommandRefused'],
    ['SELECT 1; \\copy x from y\n', 'MetaCommandRefused'],
    ['SELECT 1 \\gexec\n', 'DumpNotUnderstood'],
    ['SELECT \\; 1;\n', 'DumpNotUnderstood'],
    ['COPY a FROM stdin WITH (FORMAT csv);\n', 'DumpNotUnderstood'],
    ['COPY a FROM /* x */ stdin;\n', 'DumpNotUnderstood'],
    ['COPY a FROM stdin; SELECT 1;\n', 'DumpNotUnderstood'],
    ["SET client_encoding = 'SJIS';\n", 'DumpNotUnderstood'],
  ])('refuses %j', (sql, code) => {
    expect(() => scanned(sql)).toThrow(expect.objectContaining({ code }));
  });

  test('passes over \\connect where it is allowed, and nothing else', () => {
    const allowing = (): DumpScanner => new DumpScanner({ connectAllowed: true });
    expect(scanned('SELECT 1;\n\\connect x\nSELECT 2;\n', allowing())).toEqual([
      'SELECT 1;',
      '\\connect x\n',
      'SELECT 2;',
    ]);
    const odd = '\\encoding SQL_ASCII\n\\connect -reuse-previous=on "dbname=\'my app\'"\n';
    expect(scanned(odd, allowing()).join('')).toBe(odd);
    expect(() => scanned('\\encoding LATIN1\n', allowing())).toThrow(/LATIN1/);
    expect(() => scanned('\\! ls\n', allowing())).toThrow(expect.objectContaining({ code: 'MetaCommandRefused' }));
  });

  test.each([['COPY a TO stdout;'], ["COPY a FROM '/x';"], ["COPY a FROM PROGRAM 'x';"]])(
    'takes no rows after %s',
    (sql) => {
      expect(scanned(`${sql}\nSELECT 1;\n`)).toEqual([sql, 'SELECT 1;']);
    },
  );

  test('reads names in their own encoding', () => {
    const scanner = new DumpScanner();
    const sql = Buffer.from(`SET client_encoding = 'LATIN1';\nCOPY "\xe9" ("\xfc") FROM stdin;\n`, 'latin1');
    scanner.feed(sql);
    const spans = Array.from({ length: 5 }, () => scanner.next());
    expect(spans.find((span) => span?.kind === 'statement' && span.copy)).toMatchObject({
      copy: { name: 'é', columns: ['ü'] },
    });
  });

  test('takes the closing line for the end only where nothing but comments and \\unrestrict follows', () => {
    const closing = '-- PostgreSQL database dump complete\n';
    const seen = (sql: string): boolean => {
      const scanner = new DumpScanner();
      scanned(sql, scanner);
      return scanner.closingLineSeen;
    };
    expect(seen(`SELECT 1;\n--\n${closing}--\n\n\\unrestrict x\n\n`)).toBe(true);
    expect(seen(closing.trimEnd())).toBe(true);
    expect(seen(`${closing}SELECT 1;`)).toBe(false);
    expect(seen(`${closing}\\restrict x\n`)).toBe(false);
    expect(seen(`SELECT $$\n${closing}$$;`)).toBe(false);
    expect(seen(`/*\n${closing}*/`)).toBe(false);
    expect(seen(`x${closing}`)).toBe(false);
  });
});

describe('countNewlines', () => {
  test('counts as a loop over bytes does, wherever the bytes lie in memory', () => {
    const bytes = fc.uint8Array({ maxLength: 3000, max: 20 });
    fc.assert(
      fc.property(bytes, fc.nat(7), fc.constantFrom(0, 0x0a, 0x8a, 0x0b), (data, offset, filler) => {
        const memory = new Uint8Array(data.length + 8 + 4096).fill(filler);
        memory.set(data, offset);
        const view = memory.subarray(offset, offset + data.length + 4000);
        expect(countNewlines(view)).toBe(view.filter((byte) => byte === 0x0a).length);
        expect(countNewlines(view.subarray(3, 90))).toBe(view.subarray(3, 90).filter((byte) => byte === 0x0a).length);
      }),
    );
  });
});
