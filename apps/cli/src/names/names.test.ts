import { codeOf } from '@strideiq/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chooseAgent } from './find-agent.ts';
import { objectNameOf } from './find-backup.ts';
import { chooseDatabase, databaseName } from './find-database.ts';
import { storeIdsOf } from './find-stores.ts';
import { isId } from './id.ts';

/** What a call returns, or the code of what it throws. */
function outcomeOf(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    return codeOf(error);
  }
}

describe('a database', () => {
  const databases = [
    { environment: 'production', name: 'app' },
    { environment: 'staging', name: 'app' },
    { environment: 'production', name: 'billing' },
  ];

  test('goes by its name where that is unique, and by both always', () => {
    expect(chooseDatabase(databases, 'billing')).toBe(databases[2]);
    expect(chooseDatabase(databases, 'staging/app')).toBe(databases[1]);
  });

  test('is asked for again where several have the name', () => {
    expect(() => chooseDatabase(databases, 'app')).toThrow(
      expect.objectContaining({
        code: 'NameAmbiguous',
        message: expect.stringContaining('production/app, staging/app') as string,
      }),
    );
  });

  test.each(['ap', 'application', 'staging/billing', '/app', 'production/', ''])('is not found by %j', (reference) => {
    expect(() => chooseDatabase(databases, reference)).toThrow(
      expect.objectContaining({ code: 'NotFound', cure: expect.stringContaining('production/billing') as string }),
    );
  });

  const name = fc.stringMatching(/^[a-c]{1,2}$/);
  const known = fc.uniqueArray(fc.record({ environment: name, name }), { selector: databaseName });
  test('property: what is found has the name, and nothing else has', () => {
    fc.assert(
      fc.property(
        known,
        fc.oneof(
          name,
          fc.tuple(name, name).map((parts) => parts.join('/')),
        ),
        (all, reference) => {
          const having = all.filter((each) => each.name === reference || databaseName(each) === reference);
          const code = having.length === 0 ? 'NotFound' : 'NameAmbiguous';
          const found = outcomeOf(() => chooseDatabase(all, reference));
          expect(found).toEqual(having.length === 1 ? having[0] : code);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('an agent', () => {
  const agent = (id: string, environment: string, hostname: string, revoked = false) => ({
    id,
    environment,
    hostname,
    revoked,
  });

  test('goes by its hostname, with its environment where another has it too', () => {
    const agents = [agent('1', 'production', 'db1'), agent('2', 'staging', 'db1'), agent('3', 'staging', 'db2')];
    expect(chooseAgent(agents, 'db2').id).toBe('3');
    expect(chooseAgent(agents, 'staging/db1').id).toBe('2');
    expect(() => chooseAgent(agents, 'db1')).toThrow(/production\/db1, staging\/db1/);
  });

  test('that was revoked makes room for the one that holds', () => {
    const agents = [agent('old', 'production', 'db1', true), agent('new', 'production', 'db1')];
    expect(chooseAgent(agents, 'db1').id).toBe('new');
    expect(chooseAgent(agents.slice(0, 1), 'db1').id).toBe('old');
  });

  test('is told apart by its id where two have all else alike', () => {
    const agents = [agent('one', 'production', 'db1'), agent('two', 'production', 'db1')];
    expect(() => chooseAgent(agents, 'db1')).toThrow(/production\/db1 \(one\), production\/db1 \(two\)/);
  });
});

describe('a backup', () => {
  test.each(['running_app_20260111_030000', 'running_app_20260111_030000.sql.gz'])('goes by %s', (reference) => {
    expect(objectNameOf(reference)).toEqual({ name: 'running_app_20260111_030000.sql.gz', database: 'running_app' });
  });

  test.each(['running_app', 'app_20260231_030000', 'app_20260111_030000.manifest.json', 'LATEST'])(
    'does not go by %s',
    (reference) => expect(() => objectNameOf(reference)).toThrow(expect.objectContaining({ code: 'NotFound' })),
  );
});

test('stores go by the names that the host gave them', () => {
  const stores = [
    { id: 'a', name: 'local' },
    { id: 'b', name: 's3' },
  ];
  expect(storeIdsOf(['s3', 'local'], stores)).toEqual({ storeIds: ['b', 'a'] });
  expect(storeIdsOf(undefined, stores)).toEqual({});
  expect(() => storeIdsOf(['S3'], stores)).toThrow(
    expect.objectContaining({ code: 'NotFound', cure: 'It has: local, s3.' }),
  );
});

test('ids are known as such', () => {
  expect(isId('01996f5e-3a56-7f7a-b8f6-9a4a3c9c1f10')).toBe(true);
  expect(isId('01996F5E-3A56-7F7A-B8F6-9A4A3C9C1F10')).toBe(false);
  expect(isId('running_app')).toBe(false);
});
