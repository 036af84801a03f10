import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../processes/run.ts';
import { findClients } from './clients.ts';
import type { PostgresCluster } from './cluster.ts';
import { startPostgres } from './start.ts';

const script = join(import.meta.dirname, '../../../../tools/postgres-clients.mjs');

describe('tools/postgres-clients.mjs', () => {
  it('provides the clients of 17 and 18, and says nothing where they are there', async () => {
    await run(process.execPath, [script, '17', '18']);
    expect(await run(process.execPath, [script, '17', '18'])).toEqual({ stdout: '', stderr: '' });
    for (const major of [17, 18]) {
      const directory = await findClients(major);
      for (const tool of ['pg_dump', 'pg_dumpall', 'pg_restore', 'psql']) {
        expect((await run(join(directory, tool), ['--version'])).stdout).toContain(` ${major}.`);
      }
    }
  });

  it('ends with 2 for a major that no release brings', async () => {
    await expect(run(process.execPath, [script, '3'])).rejects.toThrow(/ended with 2: usage/);
  });
});

describe('findClients', () => {
  it('falls back to the next newer major, and says what to do where there is none', async () => {
    expect(await findClients(14)).toBe(await findClients(15));
    expect(await findClients(16)).toBe(await findClients(17));
    await expect(findClients(99)).rejects.toThrow(/node tools\/postgres-clients\.mjs/);
  });
});

describe.each([17, 18] as const)('clients of PostgreSQL %i', (major) => {
  let cluster: PostgresCluster;
  beforeAll(async () => {
    await run(process.execPath, [script, String(major)]);
    cluster = await startPostgres({ major, authentication: 'scram' });
  });
  afterAll(async () => {
    await cluster.stop();
  });

  it('dump, restore and list the roles of their server', async () => {
    await cluster.query('postgres', "CREATE ROLE someone; CREATE TABLE kept AS SELECT 'ü' AS what");
    const roles = await cluster.runClient('pg_dumpall', ['--roles-only', '--no-role-passwords']);
    expect(roles.stdout).toContain('CREATE ROLE someone;');
    const archive = join(cluster.directory, 'archive');
    await cluster.runClient('pg_dump', ['-Fc', '-f', archive, 'postgres']);
    expect(existsSync(archive)).toBe(true);
    await cluster.createDatabase('back');
    await cluster.runClient('pg_restore', ['-d', 'back', archive]);
    expect(await cluster.query('back', 'TABLE kept')).toEqual([{ what: 'ü' }]);
  });
});
