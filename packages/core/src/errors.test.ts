import { describe, expect, it } from 'vitest';
import { CodedError, codeOf, CoreError, paragraphOf } from './errors.ts';

describe('CodedError', () => {
  it('reads as what happened and what to do next', () => {
    const cause = new Error('ENOSPC');
    const error = new CoreError('ManifestInvalid', 'It is cut.', 'Take another.', { cause });
    expect(error).toMatchObject({ name: 'ManifestInvalid', code: 'ManifestInvalid', message: 'It is cut.', cause });
    expect(error.paragraph).toBe('It is cut. Take another.');
    expect(new CodedError('X', 'It is cut.').paragraph).toBe('It is cut.');
    expect(error).toBeInstanceOf(CodedError);
    expect(String(error)).toBe('ManifestInvalid: It is cut.');
  });
});

describe('codeOf', () => {
  it.each([
    [new CodedError('StorageFull', ''), 'StorageFull'],
    [Object.assign(new Error('no space'), { code: 'ENOSPC' }), 'ENOSPC'],
    [Object.assign(new Error('exit'), { code: 1 }), 'Unexpected'],
    [new Error('x'), 'Unexpected'],
    ['x', 'Unexpected'],
    [undefined, 'Unexpected'],
  ])('%s', (error, code) => expect(codeOf(error)).toBe(code));
});

describe('paragraphOf', () => {
  it.each([
    [new CodedError('A', 'One.', 'Two.'), 'One. Two.'],
    [new Error('plain'), 'plain'],
    [new AggregateError([new Error('a'), new CodedError('B', 'b.', 'c.')]), 'a; b. c.'],
    [new AggregateError([new Error('a')], 'both failed'), 'both failed'],
    ['text', 'text'],
    [null, 'null'],
  ])('%s', (error, text) => expect(paragraphOf(error)).toBe(text));

  it('goes on to the causes where the error itself says less than they do', () => {
    const cause = new CodedError('ServerGone', 'The server went away.', 'Look at its log.');
    expect(paragraphOf(new Error('The backup failed', { cause }))).toBe(
      'The backup failed: The server went away. Look at its log.',
    );
    expect(paragraphOf(new Error('The server went away.', { cause }))).toContain('Look at its log.');
  });
});
