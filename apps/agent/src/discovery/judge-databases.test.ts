import { describe, expect, it } from 'vitest';
import { keptName } from '../in-place/kept-names.ts';
import { scratchNameOf } from '../restore/run-restore.ts';
import { judgeDatabases, type Known } from './judge-databases.ts';

const nothing: Known = { exclude: [], own: new Map(), names: new Set(), held: new Set<string>(), room: 500 };
const database = (name: string, more: object = {}) => ({
  name,
  isTemplate: false,
  allowsConnections: true,
  isHalfDropped: false,
  ...more,
});
const judge = (name: string, more: object = {}, known: Partial<Known> = {}) =>
  judgeDatabases([database(name, more)], { ...nothing, ...known });

describe('judgeDatabases', () => {
  it('takes what is no one else’s', () => {
    expect(judge('app')).toEqual({ taken: ['app'], leftOut: [] });
    expect(judge('app_before_noon').taken).toEqual(['app_before_noon']);
  });

  it.each([
    ['a template', 'template1', { isTemplate: true }, {}],
    ['one that allows no connection', 'closed', { allowsConnections: false }, {}],
    ['one that is half dropped', 'half', { isHalfDropped: true }, {}],
    ['a scratch database', scratchNameOf('0197f2a0-0000-7000-8000-0000000000aa'), {}, {}],
    ['a replaced one', keptName('app', 'before', 0), {}, {}],
    ['one that was taken back', keptName('app', 'undone', 0), {}, {}],
    ['an excluded one', 'test_1', {}, { exclude: ['test_*'] }],
    ['one with an entry of its own', 'app', {}, { own: new Map([['app', 'main']]) }],
    ['an odd name with an entry of its own', 'my app', {}, { own: new Map([['my app', 'mine']]) }],
    ['an odd name that is excluded', 'my app', {}, { exclude: ['my*'] }],
  ])('leaves %s out, as it is meant', (_, name, more, known) => {
    expect(judge(name, more, known)).toEqual({ taken: [], leftOut: [{ name, why: expect.any(String) as string }] });
  });

  it.each([
    ['a name that cannot stand in a file’s', 'my app', {}],
    ['a name that begins with no letter', '_app', {}],
    ['a name that another database bears', 'app', { names: new Set(['app']) }],
    ['one more than a host can look after', 'app', { room: 0 }],
  ])('says what to do about %s', (_, name, known) => {
    expect(judge(name, {}, known).leftOut).toMatchObject([{ name, cure: expect.stringMatching(/\w/) as string }]);
  });
});
