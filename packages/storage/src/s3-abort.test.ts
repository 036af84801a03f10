import { expect, test } from 'vitest';
import { StorageError } from './errors.ts';
import { withRest } from './s3-abort.ts';

const put = new StorageError('StorageBusy', 'The put failed.', 'Wait.');
const rest = new StorageError('AccessDenied', 'The upload stays.', 'Grant it.');

test('what a store says of a clean-up that failed is added to what it says of the put', () => {
  expect(withRest(put, rest)).toMatchObject({
    code: 'StorageBusy',
    message: 'The put failed. The upload stays.',
    cure: 'Wait. Grant it.',
    cause: put,
  });
});

test('what a source threw is passed on as it was', () => {
  const thrown = new Error('source broke');
  expect(withRest(thrown, rest)).toBe(thrown);
});

test.each([put, new Error('source broke')])('an unforeseen error of the clean-up is not kept quiet: %s', (failure) => {
  const bug = new TypeError('bug');
  const both = withRest(failure, bug);
  expect(both).toBeInstanceOf(AggregateError);
  expect((both as AggregateError).errors).toEqual([failure, bug]);
});
