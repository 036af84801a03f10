import { chmod, cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { run } from '../processes/run.ts';
import { serverAccount } from './account.ts';
import { findInstallation, reachableBy } from './installation.ts';

describe('reachableBy', () => {
  it('copies a package out of a directory that is closed to the account of the server', async () => {
    const account = await serverAccount();
    const closed = await mkdtemp(join(tmpdir(), 'testkit-closed-'));
    const open = await mkdtemp(join(tmpdir(), 'testkit-open-'));
    try {
      await chmod(open, 0o755);
      const { packageDir = '' } = await findInstallation(18);
      const at = join(closed, 'pg18');
      await cp(packageDir, at, { recursive: true, verbatimSymlinks: true });
      const inside = (path: string): string => join(at, 'native', path);
      const found = {
        binDir: inside('bin'),
        shareDir: inside('share/postgresql'),
        moduleDir: inside('lib/postgresql'),
        packageDir: at,
      };
      const reached = await reachableBy(account, found, open);
      expect((await run(join(reached.binDir, 'postgres'), ['--version'], account)).stdout).toContain('18.');
      // Whoever we are ourselves can read it where it is.
      expect(await reachableBy({}, found, open)).toBe(found);
    } finally {
      await Promise.all([closed, open].map((path) => rm(path, { recursive: true })));
    }
  });
});
