import { expect, it } from 'vitest';
import { frozenCopyOf } from './frozen-copy.ts';

const frozen = (header: string) => {
  const found = frozenCopyOf(Buffer.from(header, 'latin1'));
  return found && [found.truncate.toString('latin1'), found.copy.toString('latin1')];
};

it('empties the table alone and freezes its rows, name and columns byte for byte', () => {
  expect(frozen('COPY app.run (id, "from stdin;") FROM stdin;\n')).toEqual([
    'TRUNCATE ONLY app.run;',
    'COPY app.run (id, "from stdin;") FROM stdin WITH (FREEZE);',
  ]);
  expect(frozen('COPY "caf\u00e9 ""x"".y"."a\nb" FROM stdin;\n')).toEqual([
    'TRUNCATE ONLY "caf\u00e9 ""x"".y"."a\nb";',
    'COPY "caf\u00e9 ""x"".y"."a\nb" FROM stdin WITH (FREEZE);',
  ]);
  expect(frozen('COPY run () FROM stdin;')).toEqual(['TRUNCATE ONLY run;', 'COPY run () FROM stdin WITH (FREEZE);']);
});

it('leaves every other statement alone', () => {
  expect(frozen('COPY app.run (id) FROM stdin WITH (FORMAT csv);\n')).toBeUndefined();
  expect(frozen("COPY app.run FROM '/tmp/x';\n")).toBeUndefined();
  expect(frozen('SELECT 1;')).toBeUndefined();
});
