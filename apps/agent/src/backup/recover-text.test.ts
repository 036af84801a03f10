import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { recoverText } from './recover-text.ts';

const source = {
  database: 'app',
  serverVersionNumber: 150_018,
  encoding: 'UTF8',
  collate: 'C.UTF-8',
  ctype: 'C.UTF-8',
  localeProvider: 'c',
  icuLocale: null as string | null,
};

function textFor(changes: Partial<typeof source>, location = '/backups'): string {
  return recoverText(location, Buffer.from(JSON.stringify({ database: 'app', source: { ...source, ...changes } })));
}

/** The words that a shell makes of the first command which holds `part`. */
function wordsOf(text: string, part: string): string[] {
  const command = text.split('\n').find((line) => line.startsWith('    ') && line.includes(part)) ?? '';
  const [program = '', ...rest] = command.trim().split(' ');
  const said = execFileSync('sh', ['-c', `printf '%s\\n' ${rest.join(' ')}`], { encoding: 'utf8' });
  return [program, ...said.trimEnd().split('\n')];
}

describe('recoverText', () => {
  it('names the objects where they are', () => {
    expect(textFor({})).toContain('cp /backups/NAME.* .');
    const inBucket = textFor({}, 's3://bucket/prefix/');
    expect(inBucket).toContain('aws s3 cp s3://bucket/prefix/NAME.sql.gz .');
    expect(inBucket).toContain(
      '    aws s3 cp s3://bucket/prefix/NAME.globals.sql.gz .\n    gunzip -c NAME.globals.sql.gz',
    );
  });

  it('quotes a name for SQL and for the shell', () => {
    const text = textFor({ database: `it's "odd"; $(x)` });
    expect(wordsOf(text, 'ALTER DATABASE "it')).toEqual([
      'psql',
      '-U',
      'postgres',
      '-d',
      'postgres',
      '-c',
      `ALTER DATABASE "it's ""odd""; $(x)" RENAME TO "it's ""odd""; $(x)_old"`,
    ]);
  });

  it.each([
    ['c', null, ['--lc-collate=C.UTF-8', '--lc-ctype=C.UTF-8']],
    [
      'i',
      'de-u-ks-level2',
      ['--lc-collate=C.UTF-8', '--lc-ctype=C.UTF-8', '--locale-provider=icu', '--icu-locale=de-u-ks-level2'],
    ],
    [
      'b',
      'C.UTF-8',
      ['--lc-collate=C.UTF-8', '--lc-ctype=C.UTF-8', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'],
    ],
  ])('creates a database of locale provider %s as the source was', (localeProvider, icuLocale, options) => {
    const words = wordsOf(textFor({ localeProvider, icuLocale }), 'createdb');
    expect(words).toEqual(['createdb', '-U', 'postgres', '-T', 'template0', '-E', 'UTF8', ...options, 'app_restored']);
  });
});
