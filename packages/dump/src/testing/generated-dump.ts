import fc from 'fast-check';
import type { Section } from '@strideiq/core';
import type { DumpPiece } from '../read-dump.ts';

/** What a generated dump holds, and so what a reader has to find in it. */
export type ModelPiece =
  | { kind: 'statement'; sql: string; section: Section }
  | { kind: 'copy'; header: string; schema: string; name: string; columns: string[]; rows: string; section: Section };

export interface ModelDump {
  text: string;
  pieces: ModelPiece[];
}

/** What looks like the end or the beginning of something, and is not where it stands. */
const lookalikes = [
  ';',
  '(',
  ')',
  '\\.',
  '\n\\.\n',
  '\n\\.\r\n',
  '\n\\restrict x\n',
  '\\! ls',
  '--',
  '/*',
  '*/',
  '$$',
  '$a$',
  '$',
  "'",
  "''",
  '"',
  '\\',
  "\\'",
  'E',
  'BEGIN ATOMIC',
  'END',
  'CASE',
  '\nCOPY public.x (a) FROM stdin;\n',
  '\n--\n-- Name: x; Type: INDEX; Schema: a; Owner: b\n--\n',
  '\n-- PostgreSQL database dump complete\n',
  'é€😀',
  '\r',
  '\t',
  ' ',
  '\n',
  'x1',
];

const content = fc
  .array(
    fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...lookalikes) }, fc.string({ maxLength: 6, unit: 'binary' })),
    {
      maxLength: 6,
    },
  )
  // NUL cannot stand in a dump.
  .map((parts) => parts.join('').replaceAll('\0', '0'));

const plainQuote = content.map((text) => `'${text.replaceAll("'", "''")}'`);
const unicodeQuote = content.map((text) => `U&'${text.replaceAll("'", "''")}'`);
const bitQuote = fc.constantFrom("B'0101'", "X'1FF'", "x''", "N'a;'");
const escapeQuote = fc
  .tuple(fc.constantFrom('E', 'e'), content)
  .chain(([letter, text]) =>
    fc.constantFrom("''", "\\'").map((q) => `${letter}'${text.replaceAll('\\', '\\\\').replaceAll("'", q)}'`),
  );
const quotedName = fc
  .tuple(fc.constantFrom('', 'U&'), content)
  .map(([prefix, text]) => `${prefix}"${text.replaceAll('"', '""') || 'x'}"`);
const dollarQuote = fc.tuple(fc.constantFrom('$$', '$a$', '$_B1$', '$é$'), content).map(([tag, text]) => {
  // The text may hold other tags, and may end in a dollar where that makes no tag of its own.
  const inner = `${text}${text.includes(tag.slice(0, -1)) ? ' ' : ''}`.split(tag).join(' ');
  return inner.endsWith('$') ? `${tag}${inner} ${tag}` : `${tag}${inner}${tag}`;
});
const comment = content.map((text) => {
  const inner = text.replaceAll('/', '').replaceAll('*', '');
  return `/*${inner}/*;${inner}*/*/`;
});
const lineComment = content.map((text) => `--${text.replaceAll(/[\n\r]/g, '')}\n`);
const word = fc.constantFrom(
  'select',
  'a$b$c',
  'e',
  'u',
  'U & x',
  'x',
  'case',
  'end',
  'begin',
  '$1',
  '1e5',
  '1$$a;$$',
  '0x1F',
  '-',
  '/ 2',
  '- -',
  '::int[]',
  '@>',
  ':=',
  ',',
);

const token: fc.Arbitrary<string> = fc.letrec<{ token: string; parentheses: string }>((tie) => ({
  token: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    word,
    plainQuote,
    escapeQuote,
    unicodeQuote,
    bitQuote,
    quotedName,
    dollarQuote,
    comment,
    lineComment,
    tie('parentheses'),
  ),
  parentheses: fc
    .array(fc.oneof(tie('token'), fc.constant(';')), { maxLength: 3 })
    .map((inner) => `(${inner.join(' ')})`),
})).token;

const anyStatement = fc
  .tuple(fc.constantFrom('ALTER', 'SELECT', 'GRANT', 'INSERT INTO', 'CREATE TABLE'), fc.array(token, { maxLength: 6 }))
  .map(([verb, tokens]) => `${[verb, ...tokens].join(' ')};`);

const routine = fc
  .tuple(
    fc.constantFrom(
      'CREATE FUNCTION f()',
      'create or replace procedure "begin;"()',
      'CREATE FUNCTION public.begin(x int)',
    ),
    fc.array(fc.oneof(plainQuote, dollarQuote, fc.constant('CASE a WHEN 1 THEN 2 END')), { maxLength: 3 }),
  )
  .map(([head, parts]) => `${head} LANGUAGE sql BEGIN ATOMIC SELECT ${['1', ...parts].join('; SELECT ')};\n END;`);

const statement = fc.oneof({ weight: 4, arbitrary: anyStatement }, routine);

/** Text COPY as the server writes it: one line a row, with backslashes, newlines, tabs and carriage returns escaped. */
const row = fc
  .array(fc.oneof(content, fc.constant(undefined)), { minLength: 1, maxLength: 3 })
  .map((values) => `${values.map(copyValue).join('\t')}\n`);

/** One value in text COPY (PostgreSQL documentation, COPY, "Text Format"). */
function copyValue(value: string | undefined): string {
  if (value === undefined) return '\\N';
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\t', '\\t').replaceAll('\r', '\\r');
}

const name = fc.oneof(
  fc.constantFrom('t', 'Big Table', 'a"b', 'x;', '(', 'é', '--', 'stdin', "it's"),
  fc.constant('rows'),
);

function quoteName(text: string): string {
  return /^[a-z]+$/.test(text) ? text : `"${text.replaceAll('"', '""')}"`;
}

const copy = fc
  .record({
    schema: name,
    name,
    columns: fc.array(name, { minLength: 1, maxLength: 3 }),
    rows: fc.array(row, { maxLength: 6 }),
  })
  .map(({ schema, name, columns, rows }): ModelPiece => ({
    kind: 'copy',
    header: `COPY ${quoteName(schema)}.${quoteName(name)} (${columns.map(quoteName).join(', ')}) FROM stdin;\n`,
    schema,
    name,
    columns,
    rows: rows.join(''),
    section: 'data',
  }));

const head = `--
-- PostgreSQL database dump
--

\\restrict abc123

-- Dumped from database version 15.14
-- Dumped by pg_dump version 15.14

SET statement_timeout = 0;
SET standard_conforming_strings = on;

`;
const tail = `--
-- PostgreSQL database dump complete
--

\\unrestrict abc123

`;

function textOf(piece: ModelPiece): string {
  return piece.kind === 'statement' ? `${piece.sql}\n` : `${piece.header}${piece.rows}\\.\n`;
}

/** A whole dump of statements and COPYs with all forms of quoting, full of lookalikes, as pg_dump would lay it out. */
export const generatedDump: fc.Arbitrary<ModelDump> = fc
  .record({
    before: fc.array(statement, { maxLength: 3 }),
    data: fc.array(copy, { maxLength: 3 }),
    after: fc.array(statement, { maxLength: 3 }),
  })
  .map(({ before, data, after }) => {
    const pieces: ModelPiece[] = [
      { kind: 'statement', sql: 'SET statement_timeout = 0;', section: 'pre-data' },
      { kind: 'statement', sql: 'SET standard_conforming_strings = on;', section: 'pre-data' },
    ];
    let text = head;
    const add = (piece: ModelPiece, type: string): void => {
      pieces.push(piece);
      text += `--\n-- Name: some; Type: ${type}; Schema: public; Owner: -\n--\n\n${textOf(piece)}\n\n`;
    };
    for (const sql of before) add({ kind: 'statement', sql, section: 'pre-data' }, 'VIEW');
    for (const piece of data) add(piece, 'TABLE DATA');
    for (const sql of after) add({ kind: 'statement', sql, section: 'post-data' }, 'INDEX');
    return { text: text + tail, pieces };
  });

/** What a reader found, to be compared with the model; rows of a table that follow each other are one. */
export async function modelOf(pieces: AsyncIterable<DumpPiece>): Promise<ModelPiece[]> {
  const found: ModelPiece[] = [];
  for await (const piece of pieces) {
    const { section } = piece;
    if (piece.kind === 'statement') {
      found.push({ kind: 'statement', sql: piece.sql.toString(), section });
      continue;
    }
    const { table, columns = [] } = piece;
    const rows: Buffer[] = [];
    for await (const part of piece.rows) rows.push(Buffer.from(part));
    found.push({
      kind: 'copy',
      header: piece.header.toString(),
      ...table,
      columns,
      rows: Buffer.concat(rows).toString(),
      section,
    });
  }
  return found;
}
